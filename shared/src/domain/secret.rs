use std::fmt;

use zeroize::Zeroizing;

use super::{NoRandomness, random::fill_random};

/// An app's secret or a private key. `Debug` does not show it, and it is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    const RANDOM_BYTES: usize = 48;

    /// Generates a secret: 48 bytes as 64 characters of base64url (RFC 4648, section 5).
    pub fn random() -> Result<Self, NoRandomness> {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // Each of the 64 digits takes 6 bits from a random byte of its own. Together they encode 48 bytes, without padding.
        let mut bytes = Zeroizing::new([0_u8; Self::RANDOM_BYTES * 8 / 6]);
        fill_random(bytes.as_mut_slice())?;
        let digits = bytes.iter().filter_map(|byte| ALPHABET.get(usize::from(byte & 63)));
        // Growing would leave an unwiped copy behind.
        let mut secret = Zeroizing::new(String::with_capacity(bytes.len()));
        secret.extend(digits.map(|digit| char::from(*digit)));
        Ok(Self(secret))
    }

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

impl From<Zeroizing<String>> for Secret {
    fn from(value: Zeroizing<String>) -> Self {
        Self(value)
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
    fn random_secret_is_64_characters_of_base64url() {
        let secret = Secret::random().unwrap();
        assert_eq!(secret.expose().len(), 64);
        assert!(secret.expose().bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_ne!(secret, Secret::random().unwrap());
    }

    #[test]
    fn debug_hides_value() {
        assert_eq!(format!("{:?}", Secret::from("hunter2".to_owned())), "Secret(…)");
    }
}
