//! Templates that Meta approved: from the contract's `template_params` to the request. Pure.
//!
//! `processed_params` is either flat (`{"1": "Ann"}`, the variables of the body) or has `header`, `body` and `buttons`. Variables
//! with numbers are positional, others are named; which of both a template wants is known to whoever fills it in.
use super::json::{number, text};
use serde_json::{Map, Value, json};

/// Kinds of media in a header.
const MEDIA: &[&str] = &["image", "video", "document"];

/// The `template` object of a request.
#[derive(Debug, PartialEq)]
pub struct Template {
    /// The object itself.
    pub object: Value,
    /// Where in it the id of a file belongs that is to be uploaded.
    pub file: Option<String>,
}

/// Writes the object; `attached` says what kind of file the message carries for the header, and what it is called.
///
/// # Errors
/// Names the field that is wrong.
pub fn template(params: &Value, attached: Option<(&'static str, &str)>) -> Result<Template, String> {
    let name = text(params, "/name").ok_or("template_params.name must be given")?;
    let language = text(params, "/language").or_else(|| text(params, "/language/code")).ok_or("template_params.language must be given")?;
    let processed = params.get("processed_params").unwrap_or(&Value::Null);
    let is_sorted_by_component = ["header", "body", "buttons", "footer"]
        .iter()
        .any(|component| processed.get(component).is_some_and(|value| value.is_object() || value.is_array()));
    let (header, body, buttons) = if is_sorted_by_component {
        (processed.get("header"), processed.get("body"), processed.get("buttons"))
    } else {
        (None, Some(processed), None)
    };
    let mut components = Vec::new();
    let mut file = None;
    if let Some((kind, file_name)) = attached {
        if header.is_some_and(|header| text(header, "/media_url").is_some()) {
            return Err("template_params.processed_params.header.media_url and a file exclude each other".into());
        }
        file = Some(format!("/template/components/0/parameters/0/{kind}/id"));
        components.push(json!({ "type": "header", "parameters": [{ "type": kind, kind: named(kind, json!({ "id": null }), file_name) }] }));
    } else if let Some(parameters) = header.map(header_parameters).transpose()?.filter(|parameters| !parameters.is_empty()) {
        components.push(json!({ "type": "header", "parameters": parameters }));
    }
    let parameters = body.map(variables).unwrap_or_default();
    if !parameters.is_empty() {
        components.push(json!({ "type": "body", "parameters": parameters }));
    }
    for (index, button) in buttons.and_then(Value::as_array).into_iter().flatten().enumerate() {
        if let Some(parameter) = button_parameter(index, button)? {
            components.push(parameter);
        }
    }
    let mut object = Map::new();
    object.insert("name".into(), name.into());
    object.insert("language".into(), json!({ "policy": "deterministic", "code": language }));
    if !components.is_empty() {
        object.insert("components".into(), components.into());
    }
    Ok(Template { object: Value::Object(object), file })
}

fn header_parameters(header: &Value) -> Result<Vec<Value>, String> {
    let field = "template_params.processed_params.header";
    if let Some(url) = text(header, "/media_url") {
        let kind = text(header, "/media_type").unwrap_or("image").to_ascii_lowercase();
        if !MEDIA.contains(&kind.as_str()) {
            return Err(format!("{field}.media_type must be image, video or document"));
        }
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(format!("{field}.media_url must begin with https://"));
        }
        let name = text(header, "/media_name").unwrap_or_default();
        return Ok(vec![json!({ "type": kind, (kind.as_str()): named(&kind, json!({ "link": url }), name) })]);
    }
    if let (Some(latitude), Some(longitude)) = (number(header, "/latitude"), number(header, "/longitude")) {
        let mut location = json!({ "latitude": latitude.to_string(), "longitude": longitude.to_string() });
        for part in ["name", "address"] {
            if let (Some(words), Value::Object(location)) = (header.get(part).and_then(Value::as_str), &mut location) {
                location.insert(part.into(), words.into());
            }
        }
        return Ok(vec![json!({ "type": "location", "location": location })]);
    }
    let of_media = ["media_url", "media_type", "media_name"];
    let texts = header.as_object().map(|fields| {
        let texts = fields.iter().filter(|(name, _)| !of_media.contains(&name.as_str()));
        Value::Object(texts.map(|(name, value)| (name.clone(), value.clone())).collect())
    });
    Ok(variables(&texts.unwrap_or_else(|| header.clone())))
}

/// A document has a name, other media have none.
fn named(kind: &str, mut media: Value, file_name: &str) -> Value {
    if let (Value::Object(media), true) = (&mut media, kind == "document" && !file_name.is_empty()) {
        media.insert("filename".into(), file_name.into());
    }
    media
}

/// Texts for the variables: in the order of their numbers, or with their names.
fn variables(given: &Value) -> Vec<Value> {
    let positional = |value: &Value| json!({ "type": "text", "text": plain(value) });
    match given {
        Value::Array(list) => list.iter().map(positional).collect(),
        Value::Object(object) => {
            let mut numbered: Vec<(u32, &Value)> = object.iter().filter_map(|(name, value)| Some((name.parse().ok()?, value))).collect();
            if numbered.len() == object.len() {
                numbered.sort_by_key(|(number, _)| *number);
                return numbered.into_iter().map(|(_, value)| positional(value)).collect();
            }
            object.iter().map(|(name, value)| json!({ "type": "text", "parameter_name": name, "text": plain(value) })).collect()
        }
        _ => Vec::new(),
    }
}

/// None for a button without a variable.
fn button_parameter(index: usize, button: &Value) -> Result<Option<Value>, String> {
    let Some(value) = button.get("parameter").map(plain).filter(|value| !value.is_empty()) else { return Ok(None) };
    let kind = text(button, "/type").unwrap_or("url").to_ascii_lowercase();
    let parameter = match kind.as_str() {
        "url" => json!({ "type": "text", "text": value }),
        "quick_reply" => json!({ "type": "payload", "payload": value }),
        "copy_code" => json!({ "type": "coupon_code", "coupon_code": value }),
        "flow" => json!({ "type": "action", "action": { "flow_token": value } }),
        _ => {
            let field = format!("template_params.processed_params.buttons[{index}].type");
            return Err(format!("{field} must be url, quick_reply, copy_code or flow"));
        }
    };
    Ok(Some(json!({ "type": "button", "sub_type": kind, "index": index.to_string(), "parameters": [parameter] })))
}

/// A variable's text: Meta refuses line ends, tabs, and more than four spaces in a row.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut kept = String::with_capacity(text.len());
    let mut spaces = 0;
    for letter in text.trim().chars() {
        let letter = if letter.is_control() { ' ' } else { letter };
        spaces = if letter == ' ' { spaces + 1 } else { 0 };
        if spaces <= 4 {
            kept.push(letter);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn object(processed: Value) -> Result<Value, String> {
        let params = json!({ "name": "order", "language": "en_US", "category": "UTILITY", "processed_params": processed });
        template(&params, None).map(|template| template.object["components"].clone())
    }

    #[test]
    fn either_form_of_variables_is_taken() {
        let words = |text: &str| json!({ "type": "text", "text": text });
        let many: Map<String, Value> = (1..=10).map(|number| (number.to_string(), number.into())).collect();
        let in_order: Vec<Value> = (1..=10).map(|number| words(&number.to_string())).collect();
        let body = |parameters: Value| json!([{ "type": "body", "parameters": parameters }]);
        let named = json!({ "type": "text", "parameter_name": "discount", "text": "30" });
        for (processed, components) in [
            (Value::Null, Value::Null),
            (json!({}), Value::Null),
            (json!({ "1": "Ann", "2": "7" }), body(json!([words("Ann"), words("7")]))),
            (json!(["Ann"]), body(json!([words("Ann")]))),
            (
                json!({ "body": "a variable of this name" }),
                body(json!([{ "type": "text", "parameter_name": "body", "text": "a variable of this name" }])),
            ),
            (json!({ "body": { "discount": "30" } }), body(json!([named]))),
            (json!({ "body": many }), body(in_order.into())),
            (json!({ "body": { "1": "a\nb\tc       d" } }), body(json!([words("a b c    d")]))),
            (
                json!({ "header": { "1": "Shop" }, "body": { "1": "Ann" } }),
                json!([{ "type": "header", "parameters": [words("Shop")] }, { "type": "body", "parameters": [words("Ann")] }]),
            ),
            (
                json!({ "header": { "media_url": "https://shop.example/a.png", "media_type": "image" } }),
                json!([{ "type": "header", "parameters": [{ "type": "image", "image": { "link": "https://shop.example/a.png" } }] }]),
            ),
            (
                json!({ "header": { "media_url": "https://shop.example/a", "media_type": "document", "media_name": "a.pdf" } }),
                json!([{ "type": "header", "parameters":
                    [{ "type": "document", "document": { "link": "https://shop.example/a", "filename": "a.pdf" } }] }]),
            ),
            (
                json!({ "header": { "latitude": 1.5, "longitude": "2", "name": "Shop" } }),
                json!([{ "type": "header", "parameters":
                    [{ "type": "location", "location": { "latitude": "1.5", "longitude": "2", "name": "Shop" } }] }]),
            ),
            (
                json!({ "buttons": [null, { "type": "url", "parameter": "7/track" }, { "type": "copy_code", "parameter": "SAVE20" },
                    { "type": "quick_reply", "parameter": "yes" }, { "type": "url", "parameter": "" }] }),
                json!([
                    { "type": "button", "sub_type": "url", "index": "1", "parameters": [words("7/track")] },
                    { "type": "button", "sub_type": "copy_code", "index": "2", "parameters": [{ "type": "coupon_code", "coupon_code": "SAVE20" }] },
                    { "type": "button", "sub_type": "quick_reply", "index": "3", "parameters": [{ "type": "payload", "payload": "yes" }] },
                ]),
            ),
        ] {
            assert_eq!(object(processed.clone()).unwrap(), components, "{processed}");
        }
    }

    #[test]
    fn a_file_of_the_message_becomes_the_header() {
        let params = json!({ "name": "order", "language": "en", "processed_params": { "body": { "1": "Ann" } } });
        let with_file = template(&params, Some(("document", "a.pdf"))).unwrap();
        assert_eq!(with_file.file.as_deref(), Some("/template/components/0/parameters/0/document/id"));
        assert_eq!(
            with_file.object["components"][0],
            json!({ "type": "header", "parameters": [{ "type": "document", "document": { "id": null, "filename": "a.pdf" } }] })
        );
        assert_eq!(with_file.object["components"][1]["type"], "body");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (params, words) in [
            (json!({ "language": "en" }), "template_params.name must be given"),
            (json!({ "name": "a" }), "template_params.language must be given"),
            (
                json!({ "name": "a", "language": "en", "processed_params": { "buttons": [{ "type": "mpm", "parameter": "x" }] } }),
                "template_params.processed_params.buttons[0].type must be url, quick_reply, copy_code or flow",
            ),
            (
                json!({ "name": "a", "language": "en", "processed_params": { "header": { "media_url": "ftp://x" } } }),
                "template_params.processed_params.header.media_url must begin with https://",
            ),
            (
                json!({ "name": "a", "language": "en", "processed_params": { "header": { "media_url": "https://x", "media_type": "gif" } } }),
                "template_params.processed_params.header.media_type must be image, video or document",
            ),
        ] {
            assert_eq!(template(&params, None).unwrap_err(), words);
        }
    }
}
