use std::fmt;

use zeroize::Zeroizing;

use super::NoRandomness;

/// An app's secret or a private key: `Debug` shows nothing of it, and it is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Random bytes in an app's new secret.
    const RANDOM_BYTES: usize = 48;

    /// A new random secret: 48 bytes as 64 characters of base64url (RFC 4648, section 5).
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn random() -> Result<Self, NoRandomness> {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // One random byte for each 6-bit digit: 48 bytes are 64 digits, without padding.
        let mut bytes = Zeroizing::new([0_u8; Self::RANDOM_BYTES * 8 / 6]);
        aws_lc_rs::rand::fill(bytes.as_mut_slice()).map_err(|_| NoRandomness)?;
        let digits = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        // All of its room at once: a string that grows leaves pieces of the secret in the memory that it grew out of.
        let mut secret = Zeroizing::new(String::with_capacity(bytes.len()));
        secret.extend(digits.map(|digit| char::from(*digit)));
        Ok(Self(secret))
    }

    /// The value, for where it has to leave: an answer of the API or Secrets Manager.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(value: String) -> Self {
        Self(Zeroizing::new(value))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_secret_is_64_characters_of_base64url() {
        let secret = Secret::random().unwrap();
        assert_eq!(secret.expose().len(), 64);
        assert!(secret.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_ne!(secret, Secret::random().unwrap());
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::from("hunter2".to_owned())), "Secret(…)");
    }
}
