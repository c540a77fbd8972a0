//! Times and sizes as nginx writes them: `10s`, `1m30s`, `500ms`; `8k`, `1m`, `1g`.
//!
//! Digits are read by hand: `str::parse` takes a leading `+`, and nothing here may wrap around.
//! The source is nginx's `src/core/ngx_parse.c`; where that is laxer than its documentation
//! (`10s5` is fifteen seconds, a unit needs no number before it) this is not.

use std::fmt;

use crate::time::Duration;

/// The longest time that [`parse_time`] takes, a hundred years: its nanoseconds still fit a `u64`.
pub const TIME_MAX: Duration = Duration::from_secs(36_500 * 24 * 60 * 60);

/// The largest size that [`parse_size`] takes: the largest file offset, as in nginx.
pub const SIZE_MAX: u64 = i64::MAX as u64;

/// The units of time with their milliseconds, from large to small, which is also the order in which they
/// may be written. Not nginx's `M` and `y`: it takes them for no timeout either, and `2M` is rather a
/// mistyped `2m` than sixty days.
const TIME_UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// What is wrong with a time. The text names the remedy; the caller names the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Neither a number nor numbers with units.
    #[error("not a time; write 10s, 500ms, 1m30s or 2h (a bare number is seconds)")]
    Malformed,
    /// `30s1m`, `1s1s`.
    #[error("the units of a time go from large to small, each once; write 1m30s")]
    Order,
    /// Longer than [`TIME_MAX`].
    #[error("too long; the longest time is 36500d")]
    TooLong,
}

/// What is wrong with a size. The text names the remedy; the caller names the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Neither a number nor a number with a unit.
    #[error("not a size; write 8k, 1m, 1g or a number of bytes")]
    Malformed,
    /// Larger than [`SIZE_MAX`].
    #[error("too large; the largest size is 8589934591g")]
    TooLarge,
}

/// Reads a time: numbers with the units `w d h m s ms`, each once and from large to small, spaces allowed
/// after a unit. A number without a unit is seconds and comes last: `90`, `1m30`.
pub fn parse_time(text: &str) -> Result<Duration, TimeError> {
    let mut rest = text;
    let mut total_ms: u64 = 0;
    // Units up to this index have been written.
    let mut written = 0;
    while !rest.is_empty() || written == 0 {
        let (digits, after) = split_digits(rest);
        if digits.is_empty() {
            return Err(TimeError::Malformed);
        }
        let value = decimal(digits).ok_or(TimeError::TooLong)?;
        let word = &after[..after.bytes().take_while(u8::is_ascii_alphabetic).count()];
        let unit = match word {
            "" if after.is_empty() => "s",
            word => word,
        };
        let index = TIME_UNITS.iter().position(|(name, _)| *name == unit).ok_or(TimeError::Malformed)?;
        if index < written {
            return Err(TimeError::Order);
        }
        written = index + 1;
        total_ms = value
            .checked_mul(TIME_UNITS[index].1)
            .and_then(|ms| total_ms.checked_add(ms))
            .filter(|ms| Duration::from_millis(*ms) <= TIME_MAX)
            .ok_or(TimeError::TooLong)?;
        rest = after[word.len()..].trim_start_matches(' ');
    }
    Ok(Duration::from_millis(total_ms))
}

/// Reads a size in bytes: a number, or a number with one of the units `k m g`, in either case, of 1024,
/// 1024² and 1024³ bytes.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let (digits, unit) = split_digits(text);
    if digits.is_empty() {
        return Err(SizeError::Malformed);
    }
    let scale: u64 = match unit {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return Err(SizeError::Malformed),
    };
    decimal(digits)
        .and_then(|value| value.checked_mul(scale))
        .filter(|size| *size <= SIZE_MAX)
        .ok_or(SizeError::TooLarge)
}

/// Reads a whole number without sign or unit; `None` where it is anything else or more than a `u64`.
pub fn parse_number(text: &str) -> Option<u64> {
    match split_digits(text) {
        ("", _) => None,
        (digits, "") => decimal(digits),
        _ => None,
    }
}

/// Shows a time as nginx would have it written: `10s`, `1m30s`, `500ms`, `0s`. Fractions of a millisecond,
/// which cannot be written, are left out.
pub fn time(span: Duration) -> impl fmt::Display {
    TimeText(span)
}

/// Shows a size with the largest unit that divides it: `1m`, `1536`, `8k`.
pub fn size(bytes: u64) -> impl fmt::Display {
    SizeText(bytes)
}

struct TimeText(Duration);

impl fmt::Display for TimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        // Without weeks: people say 14d.
        for (name, scale) in &TIME_UNITS[1..] {
            let count = rest / u128::from(*scale);
            rest %= u128::from(*scale);
            if count > 0 {
                write!(f, "{count}{name}")?;
            }
        }
        Ok(())
    }
}

struct SizeText(u64);

impl fmt::Display for SizeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, shift) in [("g", 30), ("m", 20), ("k", 10)] {
            if self.0 > 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{name}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

/// Splits after the leading ASCII digits.
fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// The value of ASCII digits; `None` past `u64::MAX`.
fn decimal(digits: &str) -> Option<u64> {
    digits.bytes().try_fold(0u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read_as_nginx_reads_them() {
        for (text, ms) in [
            ("0", 0),
            ("0s", 0),
            ("10", 10_000),
            ("10s", 10_000),
            ("500ms", 500),
            ("1m30s", 90_000),
            ("1m 30s", 90_000),
            ("1m30", 90_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("1w", 604_800_000),
            ("1w1d1h1m1s1ms", 694_861_001),
            ("1h5ms", 3_600_005),
            ("00010s", 10_000),
            ("36500d", 3_153_600_000_000),
        ] {
            assert_eq!(parse_time(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        use TimeError::{Malformed, Order, TooLong};
        for (text, error) in [
            ("", Malformed),
            (" ", Malformed),
            ("s", Malformed),
            ("ten", Malformed),
            ("+10s", Malformed),
            ("-10s", Malformed),
            ("1.5s", Malformed),
            ("10x", Malformed),
            ("10S", Malformed),
            ("2M", Malformed),
            ("1y", Malformed),
            ("10 s", Malformed),
            (" 10s", Malformed),
            ("1mm", Malformed),
            ("10s\n", Malformed),
            ("1٣s", Malformed),
            ("30s1m", Order),
            ("1s1s", Order),
            ("10s5", Order),
            ("1ms1", Order),
            ("36500d1ms", TooLong),
            ("18446744073709551615", TooLong),
            ("18446744073709551616ms", TooLong),
            ("99999999999999999999999999", TooLong),
        ] {
            assert_eq!(parse_time(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_read_as_nginx_reads_them() {
        for (text, size) in [
            ("0", 0),
            ("1", 1),
            ("8k", 8_192),
            ("8K", 8_192),
            ("1m", 1_048_576),
            ("1M", 1_048_576),
            ("1g", 1_073_741_824),
            ("2G", 2_147_483_648),
            ("8589934591g", SIZE_MAX - (1 << 30) + 1),
            ("9223372036854775807", SIZE_MAX),
        ] {
            assert_eq!(parse_size(text), Ok(size), "{text}");
        }
        for text in ["", "k", "+1k", "-1", "1.5m", "1kb", "1 m", "1t", "m1", "1k1"] {
            assert_eq!(parse_size(text), Err(SizeError::Malformed), "{text:?}");
        }
        for text in ["8589934592g", "9223372036854775808", "18446744073709551616", "99999999999999999999k"] {
            assert_eq!(parse_size(text), Err(SizeError::TooLarge), "{text}");
        }
    }

    #[test]
    fn errors_name_the_remedy() {
        for (error, text) in [
            (
                TimeError::Malformed.to_string(),
                "not a time; write 10s, 500ms, 1m30s or 2h (a bare number is seconds)",
            ),
            (
                TimeError::Order.to_string(),
                "the units of a time go from large to small, each once; write 1m30s",
            ),
            (TimeError::TooLong.to_string(), "too long; the longest time is 36500d"),
            (SizeError::Malformed.to_string(), "not a size; write 8k, 1m, 1g or a number of bytes"),
            (SizeError::TooLarge.to_string(), "too large; the largest size is 8589934591g"),
        ] {
            assert_eq!(error, text);
        }
    }

    #[test]
    fn times_and_sizes_are_shown_briefly() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (500, "500ms"),
            (10_000, "10s"),
            (60_000, "1m"),
            (75_000, "1m15s"),
            (7_200_000, "2h"),
            (1_209_600_000, "14d"),
        ] {
            assert_eq!(time(Duration::from_millis(ms)).to_string(), text);
        }
        assert_eq!(time(Duration::from_nanos(1)).to_string(), "0s");
        for (bytes, text) in [(0, "0"), (1_536, "1536"), (16_384, "16k"), (1 << 20, "1m"), (3 << 30, "3g")] {
            assert_eq!(size(bytes).to_string(), text);
        }
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!(parse_number("0042"), Some(42));
        assert_eq!(parse_number("18446744073709551615"), Some(u64::MAX));
        for text in ["", "+1", "-1", "1k", " 1", "18446744073709551616", "½"] {
            assert_eq!(parse_number(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*|[0-9 wdhmsMSkg+.-]{0,30}") {
            if let Ok(span) = parse_time(&text) {
                prop_assert!(span <= TIME_MAX);
            }
            if let Ok(size) = parse_size(&text) {
                prop_assert!(size <= SIZE_MAX);
            }
            let _ = parse_number(&text);
        }

        #[test]
        fn a_time_shown_reads_as_itself(ms in 0u64..=3_153_600_000_000) {
            let span = Duration::from_millis(ms);
            prop_assert_eq!(parse_time(&time(span).to_string()), Ok(span));
        }

        #[test]
        fn a_size_shown_reads_as_itself(bytes in 0u64..=SIZE_MAX, shift in 0u32..40) {
            let bytes = bytes >> shift << shift;
            prop_assert_eq!(parse_size(&size(bytes).to_string()), Ok(bytes));
        }
    }
}
