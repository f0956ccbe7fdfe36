use serde::{Deserialize, Deserializer, de::Error};

/// Reads a whole number that is not negative. Accepts 3600.0 as 3600, because JSON has one kind of number.
pub fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    from_f64(f64::deserialize(deserializer)?)
}

/// Reads a whole number like [`whole_number`], or null.
pub fn optional_whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Option::<f64>::deserialize(deserializer)?.map(from_f64).transpose()
}

fn from_f64<E: Error>(number: f64) -> Result<u64, E> {
    if number >= 0.0 && number.fract() == 0.0 { Ok(number as u64) } else { Err(E::custom("not a whole number")) }
}
