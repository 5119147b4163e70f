//! Field types that read what clients really send: numbers and flags as texts (multipart, old SDKs), `null` and the text
//! "null" as none, and the difference between absent and null.
use chrono::{DateTime, TimeZone, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// An id, as number or as text of digits.
pub fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    optional_id(deserializer)?.ok_or_else(|| D::Error::custom("expected a number"))
}

/// An id or none; empty and "null" are none.
pub fn optional_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Number(number) => number.as_i64().map(Some).ok_or_else(|| D::Error::custom("expected a whole number")),
        Value::String(text) if text.trim().is_empty() || text == "null" || text == "nil" => Ok(None),
        Value::String(text) => text.trim().parse().map(Some).map_err(|_| D::Error::custom("expected a number")),
        _ => Err(D::Error::custom("expected a number")),
    }
}

/// A list of ids.
pub fn ids<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i64>, D::Error> {
    let list = match Value::deserialize(deserializer)? {
        Value::Null => Vec::new(),
        Value::Array(list) => list,
        one => vec![one],
    };
    list.into_iter().map(|value| id(value).map_err(D::Error::custom)).collect()
}

/// A list of texts; one alone is a list of it.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = match Value::deserialize(deserializer)? {
        Value::Null => Vec::new(),
        Value::Array(list) => list,
        one => vec![one],
    };
    let one = |value| match text(value) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(D::Error::custom("expected a text")),
        Err(error) => Err(D::Error::custom(error)),
    };
    list.into_iter().map(one).collect()
}

/// A flag, as true, "true", 1 or "1".
pub fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Bool(flag) => Ok(Some(flag)),
        Value::Number(number) => Ok(Some(number.as_i64() != Some(0))),
        Value::String(text) => match text.as_str() {
            "" | "null" => Ok(None),
            "true" | "1" | "on" => Ok(Some(true)),
            "false" | "0" | "off" => Ok(Some(false)),
            _ => Err(D::Error::custom("expected true or false")),
        },
        _ => Err(D::Error::custom("expected true or false")),
    }
}

/// A text; a number is read as its digits.
pub fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        _ => Err(D::Error::custom("expected a text")),
    }
}

/// Tells absent (`None`) from null, "null" and empty (`Some(None)`).
pub fn nullable_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Ok(Some(text(deserializer)?.filter(|text| !text.is_empty() && text != "null")))
}

/// Tells absent (`None`) from none (`Some(None)`).
pub fn nullable_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i64>>, D::Error> {
    optional_id(deserializer).map(Some)
}

/// An object; also as JSON in a text, as multipart has it.
pub fn object<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Map<String, Value>>, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Object(object) => Ok(Some(object)),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => match serde_json::from_str(&text) {
            Ok(Value::Object(object)) => Ok(Some(object)),
            _ => Err(D::Error::custom("expected an object")),
        },
        _ => Err(D::Error::custom("expected an object")),
    }
}

/// A time as epoch seconds, number or text, or in ISO 8601.
pub fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DateTime<Utc>>, D::Error> {
    let seconds = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::Number(number) => number.as_i64(),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => match text.trim().parse() {
            Ok(seconds) => Some(seconds),
            Err(_) => {
                let time = DateTime::parse_from_rfc3339(text.trim())
                    .map_err(|_| D::Error::custom("expected epoch seconds or an ISO 8601 time"))?;
                return Ok(Some(time.with_timezone(&Utc)));
            }
        },
        _ => None,
    };
    let time = seconds.and_then(|seconds| Utc.timestamp_opt(seconds, 0).single());
    time.map(Some).ok_or_else(|| D::Error::custom("expected epoch seconds or an ISO 8601 time"))
}

/// An e-mail address in lower case, if it looks like one (RFC 5321, section 2.3.11: local part, `@`, domain).
pub fn email_address(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (local, domain) = text.rsplit_once('@')?;
    let is_clean =
        text.len() <= 254 && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control() || "<>,;".contains(letter));
    (is_clean && !local.is_empty() && !local.contains('@') && !domain.is_empty() && !domain.starts_with('.') && !domain.ends_with('.'))
        .then_some(text)
}

/// A phone number in E.164: a plus sign and 2 to 15 digits, the first not 0 (ITU-T E.164, section 6).
pub fn phone_number(text: &str) -> Option<String> {
    let text = text.trim();
    let digits = text.strip_prefix('+')?;
    let is_valid = (2..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    is_valid.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_and_flags_come_in_many_forms() {
        for (value, expected) in [(json!(5), Some(5)), (json!("5"), Some(5)), (json!(null), None), (json!("null"), None), (json!(""), None)]
        {
            assert_eq!(optional_id(value.clone()).unwrap(), expected, "{value}");
        }
        for value in [json!(1.5), json!("five"), json!([1]), json!({}), json!(true)] {
            assert!(optional_id(value.clone()).is_err(), "{value}");
        }
        for (value, expected) in
            [(json!(true), Some(true)), (json!("false"), Some(false)), (json!("1"), Some(true)), (json!(0), Some(false))]
        {
            assert_eq!(flag(value.clone()).unwrap(), expected, "{value}");
        }
        assert!(flag(json!("maybe")).is_err());
    }

    #[test]
    fn addresses_and_numbers_are_checked() {
        assert_eq!(email_address(" Jo@Example.COM "), Some("jo@example.com".into()));
        for wrong in ["", "jo", "@example.com", "jo@", "jo@.com", "a b@c.d", "a@b@c", "a@b\r\nBcc:x@y"] {
            assert_eq!(email_address(wrong), None, "{wrong:?}");
        }
        assert_eq!(phone_number("+4912345"), Some("+4912345".into()));
        for wrong in ["4912345", "+", "+0123", "+12345678901234567", "+12a"] {
            assert_eq!(phone_number(wrong), None, "{wrong:?}");
        }
    }
}
