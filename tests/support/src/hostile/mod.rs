//! Hostile input: what the fuzz targets under `fuzz/` and `tests/hostile_input.rs` do with one input each. `check` of each
//! module takes any bytes, and panics where they bring about what must not be.

mod answer;
pub mod api_key;
pub mod events;
pub mod items;
pub mod public_key;
mod world;
pub mod writes;
