//! What every function shares, in layers that point one way:
//! [`domain`] ← [`store`] and [`secrets`] ← [`rotation`] and [`auth`] ← [`http`] ← [`runtime`].

pub mod auth;
mod causes;
pub mod domain;
pub mod http;
pub mod rotation;
pub mod runtime;
pub mod secrets;
pub mod store;
