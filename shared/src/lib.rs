//! The library of all functions. Its modules, the rooms, depend on each other in one direction only:
//!
//! [`domain`] ← [`aws`] ← [`store`], [`secrets`], [`http`] ← [`auth`], [`rotation`] ← [`api`] ← [`runtime`] ← the functions and tools.
//!
//! An arrow points from a room to the rooms that it may use.

pub mod api;
pub mod auth;
pub mod aws;
pub mod domain;
pub mod http;
pub mod rotation;
pub mod runtime;
pub mod secrets;
pub mod store;
