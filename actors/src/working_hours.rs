//! Working hours of an inbox: seven days in the contract's form, from Sunday (0) to Saturday (6), and whether it is open at a time.
use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// One day of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkingDay {
    /// 0 is Sunday.
    #[serde(deserialize_with = "number")]
    pub day_of_week: i64,
    /// Closed, whatever the hours say.
    #[serde(default)]
    pub closed_all_day: bool,
    /// From.
    #[serde(default, deserialize_with = "optional_number")]
    pub open_hour: Option<i64>,
    /// From.
    #[serde(default, deserialize_with = "optional_number")]
    pub open_minutes: Option<i64>,
    /// Until.
    #[serde(default, deserialize_with = "optional_number")]
    pub close_hour: Option<i64>,
    /// Until.
    #[serde(default, deserialize_with = "optional_number")]
    pub close_minutes: Option<i64>,
    /// Open from midnight to midnight, whatever the hours say.
    #[serde(default)]
    pub open_all_day: bool,
}

/// Whether an inbox is open at a time, by the clock on the wall of its time zone. A week that cannot be read, or a time zone that nobody
/// knows, closes nothing.
pub fn is_open(week: &Value, timezone: &str, now: DateTime<Utc>) -> bool {
    let local = now.with_timezone(&zone(timezone));
    let week: Vec<WorkingDay> = serde_json::from_value(week.clone()).unwrap_or_default();
    let today = week.into_iter().find(|day| day.day_of_week == i64::from(local.weekday().num_days_from_sunday()));
    today.is_none_or(|day| day.is_open_at(i64::from(local.hour() * 60 + local.minute())))
}

/// When the day began on which a time lies, by the clock on the wall of a time zone.
pub fn start_of_day(timezone: &str, now: DateTime<Utc>) -> DateTime<Utc> {
    let local = now.with_timezone(&zone(timezone));
    // Where the clocks skip midnight, the day begins with the first hour that there is.
    let first = (0..24).find_map(|hour| local.date_naive().and_hms_opt(hour, 0, 0)?.and_local_timezone(local.timezone()).earliest());
    first.map_or(now, |first| first.with_timezone(&Utc))
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap_or(Tz::UTC)
}

/// The week after an update, which may name some days only.
///
/// # Errors
/// Says what is wrong with which day.
pub fn updated(before: &Value, given: Vec<Map<String, Value>>) -> Result<Value, String> {
    let mut week: Vec<WorkingDay> = serde_json::from_value(before.clone()).unwrap_or_default();
    let mut named = Vec::new();
    for day in given {
        let day: WorkingDay = serde_json::from_value(Value::Object(day)).map_err(|error| error.to_string())?;
        day.check().map_err(|words| format!("day {}: {words}", day.day_of_week))?;
        if named.contains(&day.day_of_week) {
            return Err(format!("day {} is named twice", day.day_of_week));
        }
        named.push(day.day_of_week);
        week.retain(|other| other.day_of_week != day.day_of_week);
        week.push(day);
    }
    week.sort_by_key(|day| day.day_of_week);
    if week.len() != 7 {
        return Err("expected seven days".into());
    }
    serde_json::to_value(week).map_err(|error| error.to_string())
}

impl WorkingDay {
    fn check(&self) -> Result<(), &'static str> {
        if !(0..=6).contains(&self.day_of_week) {
            return Err("day_of_week must be from 0 (Sunday) to 6 (Saturday)");
        }
        let is_in = |value: Option<i64>, most: i64| value.is_none_or(|value| (0..=most).contains(&value));
        if !is_in(self.open_hour, 23) || !is_in(self.close_hour, 23) || !is_in(self.open_minutes, 59) || !is_in(self.close_minutes, 59) {
            return Err("hours must be from 0 to 23 and minutes from 0 to 59");
        }
        match (self.closed_all_day, self.open_all_day, self.minutes()) {
            (true, true, _) => Err("it cannot be both open and closed all day"),
            (true, ..) | (_, true, _) => Ok(()),
            (false, false, None) => Err("open_hour, open_minutes, close_hour and close_minutes are needed"),
            (false, false, Some((open, close))) if close <= open => Err("it must close after it opens"),
            (false, false, Some(_)) => Ok(()),
        }
    }

    /// Whether it is open so many minutes after midnight.
    fn is_open_at(&self, minute: i64) -> bool {
        !self.closed_all_day && (self.open_all_day || self.minutes().is_none_or(|(open, close)| (open..close).contains(&minute)))
    }

    /// From when until when, in minutes since midnight.
    fn minutes(&self) -> Option<(i64, i64)> {
        Some((self.open_hour? * 60 + self.open_minutes?, self.close_hour? * 60 + self.close_minutes?))
    }
}

/// A number, also as text: forms have nothing else.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    optional_number(deserializer)?.ok_or_else(|| D::Error::custom("expected a number"))
}

fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) if text.trim().is_empty() || text == "null" => Ok(None),
        Value::String(text) => text.trim().parse().map(Some).map_err(|_| D::Error::custom("expected a number")),
        other => other.as_i64().map(Some).ok_or_else(|| D::Error::custom("expected a number")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use serde_json::json;

    fn week() -> Value {
        (0..7).map(|day| json!({ "day_of_week": day, "closed_all_day": true })).collect()
    }

    fn update(day: Value) -> Result<Value, String> {
        updated(&week(), vec![day.as_object().cloned().unwrap()])
    }

    #[test]
    fn days_that_are_named_change_and_the_others_stay() {
        let after =
            update(json!({ "day_of_week": "3", "open_hour": "8", "open_minutes": 30, "close_hour": 17, "close_minutes": 0 })).unwrap();
        let expected = json!({
            "day_of_week": 3, "closed_all_day": false, "open_hour": 8, "open_minutes": 30, "close_hour": 17, "close_minutes": 0,
            "open_all_day": false,
        });
        assert_eq!(after[3], expected);
        assert_eq!((after.as_array().unwrap().len(), &after[2]["closed_all_day"]), (7, &json!(true)));
        assert!(update(json!({ "day_of_week": 0, "open_all_day": true })).is_ok());
    }

    #[test]
    fn days_that_make_no_sense_are_refused() {
        for wrong in [
            json!({}),
            json!({ "day_of_week": 7, "closed_all_day": true }),
            json!({ "day_of_week": 1 }),
            json!({ "day_of_week": 1, "closed_all_day": true, "open_all_day": true }),
            json!({ "day_of_week": 1, "open_hour": 24, "open_minutes": 0, "close_hour": 17, "close_minutes": 0 }),
            json!({ "day_of_week": 1, "open_hour": 9, "open_minutes": 60, "close_hour": 17, "close_minutes": 0 }),
            json!({ "day_of_week": 1, "open_hour": 9, "open_minutes": 0, "close_hour": 9, "close_minutes": 0 }),
            json!({ "day_of_week": 1, "open_hour": "nine", "open_minutes": 0, "close_hour": 10, "close_minutes": 0 }),
        ] {
            assert!(update(wrong.clone()).is_err(), "{wrong}");
        }
        let twice = json!({ "day_of_week": 1, "closed_all_day": true }).as_object().cloned().unwrap();
        assert!(updated(&week(), vec![twice.clone(), twice]).is_err());
        assert!(updated(&json!([]), Vec::new()).is_err(), "a week has seven days");
    }

    #[test]
    fn it_is_open_by_the_clock_on_the_wall() {
        let day = |day: i64| json!({ "day_of_week": day, "open_hour": 9, "open_minutes": 30, "close_hour": 17, "close_minutes": 0 });
        let week: Value = (0..7)
            .map(|number| match number {
                0 => json!({ "day_of_week": 0, "closed_all_day": true, "open_hour": 9, "open_minutes": 0, "close_hour": 17, "close_minutes": 0 }),
                6 => json!({ "day_of_week": 6, "open_all_day": true }),
                number => day(number),
            })
            .collect();
        for (zone, now, open) in [
            ("UTC", "2026-01-05T09:29:59Z", false),
            ("UTC", "2026-01-05T09:30:00Z", true),
            ("UTC", "2026-01-05T16:59:59Z", true),
            ("UTC", "2026-01-05T17:00:00Z", false),
            ("UTC", "2026-01-04T12:00:00Z", false),
            ("UTC", "2026-01-03T03:00:00Z", true),
            // Berlin is an hour before UTC in winter and two in summer.
            ("Europe/Berlin", "2026-01-05T08:30:00Z", true),
            ("Europe/Berlin", "2026-01-05T16:00:00Z", false),
            ("Europe/Berlin", "2026-07-06T07:30:00Z", true),
            ("Europe/Berlin", "2026-07-06T15:00:00Z", false),
            // On the Monday after the clocks went forward, and after they went back.
            ("Europe/Berlin", "2026-03-30T07:30:00Z", true),
            ("Europe/Berlin", "2026-10-26T07:30:00Z", false),
            // Sunday in UTC is Monday in Auckland.
            ("Pacific/Auckland", "2026-01-04T21:00:00Z", true),
            ("nowhere", "2026-01-05T09:29:59Z", false),
        ] {
            assert_eq!(is_open(&week, zone, now.parse().unwrap()), open, "{zone} {now}");
        }
        assert!(is_open(&json!(null), "UTC", entity::now()), "a week that is no week closes nothing");
    }

    #[test]
    fn days_begin_with_the_clock_on_the_wall() {
        for (zone, now, begun) in [
            ("UTC", "2026-01-05T09:29:59Z", "2026-01-05T00:00:00Z"),
            ("Europe/Berlin", "2026-01-05T23:30:00Z", "2026-01-05T23:00:00Z"),
            ("Europe/Berlin", "2026-07-05T21:59:00Z", "2026-07-04T22:00:00Z"),
            // In Beirut the clocks went from midnight to one o'clock.
            ("Asia/Beirut", "2024-03-31T09:00:00Z", "2024-03-30T22:00:00Z"),
        ] {
            assert_eq!(start_of_day(zone, now.parse().unwrap()), begun.parse::<DateTime<Utc>>().unwrap(), "{zone} {now}");
        }
    }
}
