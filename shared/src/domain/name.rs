use std::{borrow::Cow, str::FromStr};

use super::ApiKeyType;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MalformedName {
    #[error("a name has 1 to {max} characters", max = Name::MAX_NAME_CHARACTERS)]
    Length,
    #[error("a name has no control characters and no characters that change the direction of text")]
    Character,
}

/// The name of a new app or API key. Earlier versions stored unchecked names; [`escape_unprintable`] makes them safe to
/// print.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    pub const MAX_NAME_CHARACTERS: usize = 100;
}

impl FromStr for Name {
    type Err = MalformedName;

    fn from_str(text: &str) -> Result<Self, MalformedName> {
        if !(1..=Self::MAX_NAME_CHARACTERS).contains(&text.chars().count()) {
            return Err(MalformedName::Length);
        }
        if text.contains(is_unprintable) {
            return Err(MalformedName::Character);
        }
        Ok(Self(text.to_owned()))
    }
}

/// The default name of an API key.
impl From<ApiKeyType> for Name {
    fn from(kind: ApiKeyType) -> Self {
        Self(kind.name().to_owned())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// Returns whether a terminal may interpret the character: a control character or Bidi_Control (UAX #9, section 2).
fn is_unprintable(character: char) -> bool {
    let is_bidirectional =
        matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || is_bidirectional
}

/// Replaces each control or bidirectional character with a JSON escape such as `\u001b`. A JSON text keeps its meaning.
#[must_use]
pub fn escape_unprintable(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if is_unprintable(character) {
            escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_has_1_to_100_printable_characters() {
        for good in ["a", " ", "Größe – 日本", &"é".repeat(100)] {
            assert_eq!(good.parse::<Name>().map(String::from).as_deref(), Ok(good));
        }
        for length in ["", &"é".repeat(101)] {
            assert_eq!(length.parse::<Name>(), Err(MalformedName::Length));
        }
        for character in ["a\nb", "\u{1b}[2J", "\u{7f}", "\u{9b}2J", "a\u{202e}b", "\u{2066}", "\u{200f}", "\u{61c}"] {
            assert_eq!(character.parse::<Name>(), Err(MalformedName::Character), "{character:?}");
        }
    }

    #[test]
    fn unprintable_characters_are_escaped() {
        assert_eq!(escape_unprintable("a\n\u{9b}\u{202e}ü"), "a\\u000a\\u009b\\u202eü");
        assert!(matches!(escape_unprintable("a ü"), Cow::Borrowed("a ü")));
    }
}
