//! What every function shares, in layers that point one way:
//! [`domain`] ← [`store`] and [`secrets`] ← [`auth`] ← [`http`] ← [`runtime`].

pub mod auth;
mod causes;
pub mod domain;
pub mod http;
pub mod runtime;
pub mod secrets;
pub mod store;
