//! Working hours of an inbox as data: seven days in the contract's form, from Sunday (0) to Saturday (6).
use crate::http::fields;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One day of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkingDay {
    /// 0 is Sunday.
    #[serde(deserialize_with = "fields::id")]
    pub day_of_week: i64,
    /// Closed, whatever the hours say.
    #[serde(default)]
    pub closed_all_day: bool,
    /// From.
    #[serde(default, deserialize_with = "fields::optional_id")]
    pub open_hour: Option<i64>,
    /// From.
    #[serde(default, deserialize_with = "fields::optional_id")]
    pub open_minutes: Option<i64>,
    /// Until.
    #[serde(default, deserialize_with = "fields::optional_id")]
    pub close_hour: Option<i64>,
    /// Until.
    #[serde(default, deserialize_with = "fields::optional_id")]
    pub close_minutes: Option<i64>,
    /// Open from midnight to midnight, whatever the hours say.
    #[serde(default)]
    pub open_all_day: bool,
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

    /// From when until when, in minutes since midnight.
    fn minutes(&self) -> Option<(i64, i64)> {
        Some((self.open_hour? * 60 + self.open_minutes?, self.close_hour? * 60 + self.close_minutes?))
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
}
