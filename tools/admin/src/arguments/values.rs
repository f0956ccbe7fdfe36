use std::time::Duration;

use userdocks::domain::{ApiKeyHash, ApiKeyType, MalformedHash, Timestamp};

pub fn api_key_type(name: &str) -> Result<ApiKeyType, &'static str> {
    name.parse().map_err(|_| "use read or write")
}

/// Parses a lifetime of at least a minute, because a shorter one is a mistake.
pub fn lifetime(text: &str) -> Result<Duration, String> {
    const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);
    let time = duration(text)?;
    if time < SHORTEST_LIFETIME { Err("use at least a minute (1m)".to_owned()) } else { Ok(time) }
}

pub fn overlap(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.subsec_nanos() > 0 { Err("use whole seconds".to_owned()) } else { Ok(time) }
}

/// Parses a moment, or a time before now.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(moment) = text.parse() {
        return Ok(moment);
    }
    let since =
        duration(text).map_err(|_| "use a time such as 2d, or a moment such as 2026-01-01T00:00:00Z".to_owned())?;
    Ok(Timestamp::now().before(since))
}

/// Parses a SHA-256 in upper or lower case, because tools print either.
pub fn hash(text: &str) -> Result<ApiKeyHash, MalformedHash> {
    text.to_ascii_lowercase().parse()
}

pub fn hint(text: &str) -> Result<String, &'static str> {
    let is_printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if is_printable && text.len() == 4 { Ok(text.to_owned()) } else { Err("use 4 printable ASCII characters") }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moment_is_absolute_or_before_now() {
        let at = "2026-01-01T00:00:00.000Z".parse::<Timestamp>().unwrap();
        assert_eq!(moment("2026-01-01T01:00:00+01:00"), Ok(at));
        let (before, hour) = (Timestamp::now(), Duration::from_secs(3600));
        let since = moment("1h").unwrap();
        assert!(since >= before.before(hour) && since <= Timestamp::now().before(hour));
        for malformed in ["", "2026-01-01", "yesterday", "-1h"] {
            assert!(moment(malformed).is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn hash_is_parsed_in_either_case() {
        let digits = "0123456789abcdef".repeat(4);
        assert_eq!(hash(&digits.to_uppercase()).unwrap().as_str(), digits);
        for malformed in ["", &digits[1..], &"g".repeat(64)] {
            assert!(hash(malformed).is_err(), "{malformed:?}");
        }
    }

    #[test]
    fn hint_has_4_characters() {
        assert_eq!(hint("3c n").as_deref(), Ok("3c n"));
        for malformed in ["", "abc", "abcde", "abc\u{7f}", "ab\u{e9}"] {
            assert!(hint(malformed).is_err(), "{malformed:?}");
        }
    }
}
