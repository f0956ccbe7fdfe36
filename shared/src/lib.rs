//! What every function shares, in layers that point one way:
//! [`domain`] ← [`aws_json`] ← [`store`] and [`secrets`] ← [`rotation`] and [`auth`] ← [`http`] ← [`runtime`].

pub mod auth;
pub mod aws_json;
mod causes;
pub mod domain;
pub mod http;
pub mod rotation;
pub mod runtime;
pub mod secrets;
pub mod store;

use std::sync::{Arc, LazyLock};

/// A client of the SDK, built when it is first used: most cold starts never do.
type LazyClient<C> = Arc<LazyLock<C, Box<dyn FnOnce() -> C + Send>>>;
