use std::{
    fmt,
    ops::Add,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 time")]
pub struct MalformedTimestamp;

/// A moment in UTC, in whole milliseconds. Displayed in the contract's form: `2026-01-01T00:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    #[must_use]
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(OffsetDateTime::UNIX_EPOCH) + since_epoch
    }

    /// Returns whole seconds since 1970, the unit of DynamoDB's time to live.
    #[must_use]
    pub fn seconds_since_epoch(self) -> u64 {
        self.0.unix_timestamp().try_into().unwrap_or_default()
    }

    /// Returns the time from `earlier` to this moment, or zero if this moment is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::try_from(self.0 - earlier.0).unwrap_or_default()
    }

    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let duration = time::Duration::try_from(duration).unwrap_or(time::Duration::MAX);
        Self(self.0.saturating_sub(duration).truncate_to_millisecond())
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        let moment = self.0.saturating_add(time::Duration::try_from(duration).unwrap_or(time::Duration::MAX));
        Self(moment.truncate_to_millisecond())
    }
}

impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        timestamp.0.into()
    }
}

impl FromStr for Timestamp {
    type Err = MalformedTimestamp;

    fn from_str(text: &str) -> Result<Self, MalformedTimestamp> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| MalformedTimestamp)?;
        let moment = moment.checked_to_offset(UtcOffset::UTC).ok_or(MalformedTimestamp)?;
        // The conversion to UTC may give the year -1, which RFC 3339 cannot express.
        if moment.year() < 0 {
            return Err(MalformedTimestamp);
        }
        Ok(Self(moment.truncate_to_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (date, time) = (self.0.date(), self.0.time());
        write!(
            formatter,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_offset_is_shown_in_utc_with_milliseconds() {
        for (given, shown) in [
            ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.000Z"),
            ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00.000Z"),
            ("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(given.parse::<Timestamp>().unwrap().to_string(), shown);
        }
        for other in ["yesterday", "0000-01-01T00:00:00+00:01"] {
            assert_eq!(other.parse::<Timestamp>(), Err(MalformedTimestamp), "{other}");
        }
        let now = Timestamp::now();
        assert_eq!(now.to_string().parse(), Ok(now));
    }
}
