//! What messages of each content type carry in `content_attributes.items` (contract, section 2, Messages).
use super::error::{ApiError, ApiResult};
use serde_json::{Map, Value};

/// Checks the items of a message that has some by its type.
///
/// # Errors
/// 422 naming what is wrong.
pub fn check(content_type: &str, attributes: &Map<String, Value>) -> ApiResult<()> {
    let allowed: &[&str] = match content_type {
        "input_select" => &["title", "value"],
        "cards" => &["title", "description", "media_url", "actions"],
        "form" => &["type", "placeholder", "label", "name", "options", "default", "required", "pattern", "title", "pattern_error"],
        "article" => &["title", "description", "link"],
        _ => return Ok(()),
    };
    let refused = |words: String| ApiError::invalid("content_attributes.items", format!("content_attributes.items: {words}"));
    let items = attributes.get("items").and_then(Value::as_array).filter(|items| !items.is_empty());
    for item in items.ok_or_else(|| refused("at least one item is required".into()))? {
        let unknown = unknown_key(item, allowed).map_err(&refused)?;
        if let Some(key) = unknown {
            return Err(refused(format!("\"{key}\" is none of {}", allowed.join(", "))));
        }
        let actions = item.get("actions").filter(|_| content_type == "cards");
        for action in actions.and_then(Value::as_array).into_iter().flatten() {
            if let Some(key) = unknown_key(action, ACTION_KEYS).map_err(&refused)? {
                return Err(refused(format!("actions: \"{key}\" is none of {}", ACTION_KEYS.join(", "))));
            }
        }
    }
    Ok(())
}

const ACTION_KEYS: &[&str] = &["text", "type", "payload", "uri"];

fn unknown_key(item: &Value, allowed: &[&str]) -> Result<Option<String>, String> {
    let item = item.as_object().ok_or("each item is an object")?;
    Ok(item.keys().find(|key| !allowed.contains(&key.as_str())).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn items_have_the_keys_of_their_type() {
        for (content_type, items, is_right) in [
            ("text", Value::Null, true),
            ("input_select", Value::Null, false),
            ("input_select", json!([]), false),
            ("input_select", json!([{ "title": "A", "value": "a" }]), true),
            ("input_select", json!([{ "title": "A", "value": "a", "x": 1 }]), false),
            ("input_select", json!(["a"]), false),
            ("cards", json!([{ "title": "A", "actions": [{ "text": "Go", "type": "link", "uri": "https://a.example" }] }]), true),
            ("cards", json!([{ "title": "A", "actions": [{ "text": "Go", "href": "x" }] }]), false),
            ("form", json!([{ "type": "email", "name": "email", "label": "Mail", "placeholder": "you@example.com" }]), true),
            ("article", json!([{ "title": "A", "description": "B", "link": "https://a.example" }]), true),
            ("article", json!([{ "name": "A" }]), false),
        ] {
            let attributes: Map<String, Value> = [("items".to_owned(), items.clone())].into_iter().collect();
            assert_eq!(check(content_type, &attributes).is_ok(), is_right, "{content_type} {items}");
        }
    }
}
