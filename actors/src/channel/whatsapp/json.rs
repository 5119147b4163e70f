//! Reads JSON that may lack anything and hold anything: Meta adds fields and kinds without notice.
use chrono::{DateTime, Utc};
use serde_json::Value;

/// A text that is not empty, by its JSON pointer.
pub fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

/// A text or a whole number as a text: ids come as either.
pub fn id(value: &Value, pointer: &str) -> Option<String> {
    match value.pointer(pointer)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// A number, or a text that is one.
pub fn number(value: &Value, pointer: &str) -> Option<f64> {
    match value.pointer(pointer)? {
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    }
    .filter(|number: &f64| number.is_finite())
}

/// Seconds since 1970, as a text or a number.
pub fn time(value: &Value, pointer: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(id(value, pointer)?.parse().ok()?, 0)
}

/// The members of a list; nothing where there is no list.
pub fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Takes the character out of all texts that databases refuse.
pub fn without_nul(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', ""),
        Value::Array(list) => list.iter_mut().for_each(without_nul),
        Value::Object(object) => object.values_mut().for_each(without_nul),
        _ => {}
    }
}

/// Without control characters, in one line, at most so many characters.
pub fn one_line(text: &str, limit: usize) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn takes_what_is_there_in_either_form() {
        let value = json!({ "text": "a", "empty": "", "number": 7, "half": "1.5", "at": "1697043223", "list": [1], "huge": "99999999999999999999" });
        assert_eq!(
            (text(&value, "/text"), text(&value, "/empty"), text(&value, "/number"), text(&value, "/none")),
            (Some("a"), None, None, None)
        );
        assert_eq!((id(&value, "/text"), id(&value, "/number"), id(&value, "/list")), (Some("a".into()), Some("7".into()), None));
        assert_eq!((number(&value, "/half"), number(&value, "/number"), number(&value, "/text")), (Some(1.5), Some(7.0), None));
        assert_eq!(time(&value, "/at").map(|at| at.timestamp()), Some(1_697_043_223));
        assert_eq!((time(&value, "/text"), time(&value, "/huge")), (None, None));
        assert_eq!((list(&value, "list").len(), list(&value, "text").len()), (1, 0));
        let mut with_nul = json!({ "a": ["x\u{0}y"] });
        without_nul(&mut with_nul);
        assert_eq!(with_nul, json!({ "a": ["xy"] }));
        assert_eq!(one_line("a\n b\u{7}c  d", 5), "a b c");
    }
}
