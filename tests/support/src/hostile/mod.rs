//! Hostile input. The fuzz targets under `fuzz/` and the test `hostile_input` give each input to `check` of a module, which takes
//! any bytes and panics if they break a rule.

pub mod api_key;
pub mod events;
mod functions;
pub mod items;
pub mod public_key;
mod response;
pub mod writes;
