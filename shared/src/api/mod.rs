//! The HTTP contract: routes, failures, envelopes, writes, and the audit record of each request.

mod audit;
mod context;
mod envelope;
mod failure;
mod response;
mod route;
mod services;
mod signing_key;
mod write;

pub use self::{
    audit::Audit,
    context::Context,
    envelope::{Envelope, LegacySuccess, ListSuccess},
    failure::{Failure, FailureKind, Fault},
    response::{CacheControl, complete, failure, json, revalidated, success},
    route::{Access, Route},
    services::Services,
    signing_key::ListedSigningKey,
    write::{NewWrite, Write},
};
