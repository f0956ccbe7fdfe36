//! The HTTP contract: routes, failures, envelopes, writes, and each request's audit record.

mod api_key;
mod audit;
mod context;
mod envelope;
mod failure;
mod listed_type;
mod number;
mod response;
mod route;
mod services;
mod signing_key;
mod write;

pub use self::{
    api_key::{CreatedApiKey, ListedApiKey},
    audit::Audit,
    context::Context,
    envelope::{Envelope, LegacySuccess, ListSuccess, written_id},
    failure::{Failure, FailureKind, Fault},
    number::{optional_whole_number, whole_number},
    response::{CacheControl, cacheable, complete, failure, json, matches_etag, strong_etag, uncacheable},
    route::{Access, Route},
    services::Services,
    signing_key::ListedSigningKey,
    write::{NewWrite, Write},
};
