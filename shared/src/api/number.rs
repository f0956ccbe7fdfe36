use serde::{Deserialize, Deserializer, de::Error};

/// Deserializes a non-negative whole number. Accepts 3600.0 as 3600, because JSON has only one type of number.
pub fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    from_f64(f64::deserialize(deserializer)?)
}

/// Deserializes null, or a number like [`whole_number`].
pub fn optional_whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<f64>::deserialize(deserializer)?.map(from_f64).transpose()
}

fn from_f64<E: Error>(number: f64) -> Result<u64, E> {
    if number >= 0.0 && number.fract() == 0.0 { Ok(number as u64) } else { Err(E::custom("not a whole number")) }
}
