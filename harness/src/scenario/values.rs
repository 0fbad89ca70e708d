//! How a scenario writes durations, ranges, rates and shares. Pure: text in, value or nothing out.

use std::time::Duration;

use crate::random::{Amount, Rate, Share, Span, WHOLE};

/// Virtual time has no finer grain.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);
/// A run is not longer either.
const LONGEST: Duration = Duration::from_hours(24);
/// Between the ends of a range.
const TO: &str = "..";

/// `250ms`, `10s`, `5m`, `1h`; at most a day.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    let duration = Duration::from_millis(number.checked_mul(milliseconds)?);
    (duration <= LONGEST).then_some(duration)
}

/// One value, or two with `..` between them.
fn range<T: Copy>(text: &str, one: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    match text.split_once(TO) {
        Some((low, high)) => Some((one(low)?, one(high)?)),
        None => one(text).map(|value| (value, value)),
    }
}

/// `10s` or `5s..20s`
pub(crate) fn span(text: &str) -> Option<Span> {
    range(text, duration).and_then(|(low, high)| Span::between(low, high))
}

fn whole(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// `3..10`
pub(crate) fn amount(text: &str) -> Option<Amount> {
    range(text, whole).and_then(|(low, high)| Amount::between(low, high))
}

/// `20/s`, `6/m` or `5..50/s`; at most one a millisecond.
pub(crate) fn rate(text: &str) -> Option<Rate> {
    let (number, unit) = text.split_once('/')?;
    let amount = amount(number)?;
    let period = duration(&format!("1{}", unit.trim()))?;
    let (slowest, fastest) = amount.bounds();
    let pause = period.checked_div(u32::try_from(fastest).ok()?)?;
    (slowest > 0 && pause >= SHORTEST_PAUSE).then_some(Rate { amount, period })
}

/// `25%` or `5%..30%`; over nought, at most all.
pub(crate) fn share(text: &str) -> Option<Share> {
    let one = |text: &str| {
        let percent: f64 = text.trim().strip_suffix('%')?.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
        (percent > 0.0 && percent <= 100.0).then(|| ((percent * 1e4).round() as u64).clamp(1, WHOLE))
    };
    range(text, one).and_then(|(low, high)| Share::between(low, high))
}

/// As a scenario writes it, in the largest unit without a remainder.
pub(crate) fn shown(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let unit = units.into_iter().find(|(_, unit)| milliseconds > 0 && milliseconds.is_multiple_of(*unit));
    match unit {
        Some((name, unit)) => format!("{}{name}", milliseconds / unit),
        None if milliseconds == 0 => "0s".to_owned(),
        None => format!("{milliseconds}ms"),
    }
}

/// A name as Kubernetes demands it of a namespace, short enough that numbers can follow it.
pub(crate) fn is_name(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=40).contains(&text.len())
        && text.bytes().all(known)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_one_or_a_range_and_nothing_else() {
        let seconds = Duration::from_secs;
        assert_eq!(span("5s..20s"), Span::between(seconds(5), seconds(20)));
        assert_eq!(span(" 5s .. 1m "), Span::between(seconds(5), seconds(60)));
        assert_eq!(amount("3..10"), Amount::between(3, 10));
        assert_eq!(share("5%..30%"), Share::between(50_000, 300_000));
        for wrong in ["", "5", "s", "5s..", "..5s", "20s..5s", "5s..6s..7s", "25h", "5 parsecs", "-5s"] {
            assert_eq!(span(wrong), None, "{wrong}");
        }
        for wrong in ["", "x", "3..", "10..3", "3...10", "-1"] {
            assert_eq!(amount(wrong), None, "{wrong}");
        }
        for wrong in ["", "25", "0%", "101%", "nan%", "30%..5%"] {
            assert_eq!(share(wrong), None, "{wrong}");
        }
        for wrong in ["", "20", "0/s", "2000/s", "1..2000/s", "20/parsec", "/s"] {
            assert!(rate(wrong).is_none(), "{wrong}");
        }
        assert!(rate("20/s").is_some() && rate("5..50/s").is_some() && rate("6/m").is_some());
    }

    #[test]
    fn a_duration_is_shown_as_it_is_read() {
        for text in ["0s", "1ms", "1500ms", "10s", "90s", "5m", "24h"] {
            assert_eq!(shown(duration(text).unwrap()), text);
        }
    }
}
