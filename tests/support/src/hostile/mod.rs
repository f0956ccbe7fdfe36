//! Hostile input. The fuzz targets under `fuzz/` and the test `hostile_input` pass inputs to the `check` functions.
//! These take any bytes and panic if a rule is broken.

pub mod api_key;
pub mod events;
mod functions;
pub mod items;
pub mod public_key;
mod response;
pub mod writes;
