use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedSecretPrefix {
    #[error("the prefix of secrets' names is empty")]
    Empty,
    #[error("the prefix of secrets' names begins or ends with a slash, or has two in a row")]
    Slash,
    #[error("the prefix of secrets' names has only letters, digits and /_+=.@-")]
    Character,
}

/// The prefix of all secrets' names, without the slash that follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretPrefix(String);

impl SecretPrefix {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretPrefix {
    type Err = MalformedSecretPrefix;

    /// Characters: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html>
    fn from_str(text: &str) -> Result<Self, MalformedSecretPrefix> {
        if text.is_empty() {
            return Err(MalformedSecretPrefix::Empty);
        }
        if text.split('/').any(str::is_empty) {
            return Err(MalformedSecretPrefix::Slash);
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-".contains(&byte);
        if text.bytes().all(is_allowed) { Ok(Self(text.to_owned())) } else { Err(MalformedSecretPrefix::Character) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_prefix_is_rejected_with_reason() {
        for good in ["userdocks", "userdocks/local", "a/b/c", "a_b+c=d.e@f-g"] {
            assert_eq!(good.parse::<SecretPrefix>().unwrap().as_str(), good);
        }
        for slash in ["/", "/a", "a/", "a//b", "userdocks/local/"] {
            assert_eq!(slash.parse::<SecretPrefix>(), Err(MalformedSecretPrefix::Slash), "{slash}");
        }
        assert_eq!("".parse::<SecretPrefix>(), Err(MalformedSecretPrefix::Empty));
        for character in [" a", "a b", "ä", "a\n", "a*"] {
            assert_eq!(character.parse::<SecretPrefix>(), Err(MalformedSecretPrefix::Character), "{character}");
        }
    }
}
