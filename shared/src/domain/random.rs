#[derive(Debug, thiserror::Error)]
#[error("the system returned no random bytes")]
pub struct NoRandomness;

pub fn fill_random(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| NoRandomness)
}
