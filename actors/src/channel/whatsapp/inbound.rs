//! One message of a webhook as agents see it. Pure.
//!
//! What has a form of its own (a pressed button, a flow's answers, an order) is a readable text, and the form is in
//! `content_attributes.data`. What is not known here is kept as it came, under `data` too, and marked `is_unsupported`.
use super::json::{id, list, number, text, time};
use crate::message::{Card, Edit, Identity, Inbound, InboundAttachment, Place, Profile, Reaction, RemoteFile, Update, Writer};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

/// Where a message stands in its webhook.
pub struct Setting<'a> {
    /// The persons that the webhook tells of.
    pub contacts: &'a [Value],
    /// Who wrote it.
    pub writer: Writer,
    /// The business's number, in digits.
    pub own_number: &'a str,
}

/// What a message, an edit, a reaction … says; an error is what is wrong with it.
///
/// # Errors
/// If it names no contact, or has no id.
pub fn update(node: &Value, setting: &Setting<'_>) -> Result<Update, &'static str> {
    let person = correspondent(node, setting).ok_or("it names no contact")?;
    let provider_id = id(node, "/id").ok_or("it has no id")?;
    let at = time(node, "/timestamp");
    let kind = text(node, "/type").unwrap_or_default();
    let source_id = person.source_id.clone();
    match kind {
        "reaction" => {
            let of = id(node, "/reaction/message_id").ok_or("it is a reaction to nothing")?;
            let emojis = text(node, "/reaction/emoji").map(str::to_owned).into_iter().collect();
            return Ok(Update::Reaction(Reaction { source_id, provider_id: of, emojis, at: or_now(at) }));
        }
        "edit" if id(node, "/edit/original_message_id").is_some() => {
            let of = id(node, "/edit/original_message_id").unwrap_or_default();
            let content = node.pointer("/edit/message").and_then(text_of);
            return Ok(Update::Edit(Edit { source_id, provider_id: of, content, at: or_now(at) }));
        }
        "revoke" if id(node, "/revoke/original_message_id").is_some() => {
            let of = id(node, "/revoke/original_message_id").unwrap_or_default();
            return Ok(Update::Deletion { source_id, provider_id: of });
        }
        "system" if matches!(text(node, "/system/type"), Some("user_changed_number" | "customer_changed_number")) => {
            // The message names no contacts; older ones call the new number `new_wa_id`.
            let number = id(node, "/system/wa_id").or_else(|| id(node, "/system/new_wa_id")).ok_or("it names no new number")?;
            let person = identity(Some(number), id(node, "/system/user_id"), None, &[]).ok_or("it names no new number")?;
            return Ok(Update::Moved { from: source_id, to: person });
        }
        _ => {}
    }
    let body = body(node, kind)
        .unwrap_or_else(|| Body { attributes: attributes(json!({ "is_unsupported": true, "data": node })), ..Body::default() });
    let mut content_attributes = body.attributes;
    for flag in ["forwarded", "frequently_forwarded"] {
        if node.pointer(&format!("/context/{flag}")).is_some_and(|set| set == true) {
            content_attributes.insert(flag.into(), true.into());
        }
    }
    for (name, pointer) in [("referral", "/referral"), ("referred_product", "/context/referred_product"), ("group_id", "/group_id")] {
        if let Some(value) = node.pointer(pointer) {
            content_attributes.insert(name.into(), value.clone());
        }
    }
    if setting.writer == Writer::Business {
        content_attributes.insert("external_echo".into(), true.into());
    }
    let referral = node.get("referral").filter(|referral| referral.is_object());
    Ok(Update::Message(Box::new(Inbound {
        source_id,
        aliases: person.aliases,
        writer: setting.writer,
        sent_at: at,
        quotes: id(node, "/context/id"),
        sender: person.profile,
        provider_id: Some(provider_id),
        content: body.content,
        content_attributes,
        conversation_attributes: referral.map(|referral| attributes(json!({ "referral": referral }))).unwrap_or_default(),
        attachments: body.attachments,
        ..Inbound::default()
    })))
}

/// What a message carries.
#[derive(Default)]
struct Body {
    content: Option<String>,
    attributes: Map<String, Value>,
    attachments: Vec<InboundAttachment>,
}

impl Body {
    fn text(content: impl Into<String>) -> Self {
        Body { content: Some(content.into()).filter(|content| !content.is_empty()), ..Body::default() }
    }

    fn with_data(mut self, data: Value) -> Self {
        self.attributes.insert("data".into(), data);
        self
    }
}

/// None if it is of a kind that is not known here, or lacks what makes the kind.
fn body(node: &Value, kind: &str) -> Option<Body> {
    let own = node.get(kind).filter(|own| own.is_object() || own.is_array());
    match kind {
        "text" => Some(Body::text(text(own?, "/body")?)),
        "image" | "video" | "audio" | "document" | "sticker" => file(own?),
        "location" => place(own?),
        "contacts" => cards(node),
        "button" => Some(Body::text(text(own?, "/text").or_else(|| text(own?, "/payload"))?).with_data(typed("button", own?))),
        "interactive" => interactive(own?),
        "order" => Some(Body::text(order(own?)).with_data(typed("order", own?))),
        // Such as a new security code: Meta's sentence, told to the agent.
        "system" => {
            let mut data = typed("system", own?);
            if let (Value::Object(data), Some(identity)) = (&mut data, node.get("identity")) {
                data.insert("identity".into(), identity.clone());
            }
            Some(Body::text(text(own?, "/body")?).with_data(data))
        }
        _ => None,
    }
}

fn file(own: &Value) -> Option<Body> {
    let reference = json!({ "id": id(own, "/id")?, "sha256": text(own, "/sha256") });
    let attachment = InboundAttachment::Remote(RemoteFile {
        reference,
        file_name: text(own, "/filename").unwrap_or_default().to_owned(),
        content_type: text(own, "/mime_type").unwrap_or_default().to_owned(),
        byte_size: None,
    });
    let mut body = Body { attachments: vec![attachment], ..Body::text(text(own, "/caption").unwrap_or_default()) };
    if own.get("voice").is_some_and(|voice| voice == true) {
        body.attributes.insert("is_voice_message".into(), true.into());
    }
    Some(body)
}

fn place(own: &Value) -> Option<Body> {
    let (latitude, longitude) = (number(own, "/latitude")?, number(own, "/longitude")?);
    let title: Vec<&str> = ["/name", "/address"].iter().filter_map(|pointer| text(own, pointer)).collect();
    let place = InboundAttachment::Place(Place { latitude, longitude, title: title.join(", ") });
    Some(Body { attachments: vec![place], ..Body::default() }.with_data(typed("location", own)))
}

fn cards(node: &Value) -> Option<Body> {
    let card = |one: &Value| {
        let first = text(one, "/name/first_name").or_else(|| text(one, "/name/formatted_name")).unwrap_or_default();
        InboundAttachment::Card(Card {
            first_name: first.to_owned(),
            last_name: text(one, "/name/last_name").unwrap_or_default().to_owned(),
            phone_number: list(one, "phones")
                .iter()
                .find_map(|phone| text(phone, "/phone").or_else(|| text(phone, "/wa_id")))
                .map(str::to_owned),
        })
    };
    let contacts = list(node, "contacts");
    let attachments: Vec<InboundAttachment> = contacts.iter().map(card).collect();
    let body = Body { attachments, ..Body::default() };
    (!contacts.is_empty()).then(|| body.with_data(json!({ "type": "contacts", "contacts": contacts })))
}

fn interactive(own: &Value) -> Option<Body> {
    let kind = text(own, "/type")?;
    let reply = own.get(kind)?;
    let content = match kind {
        "button_reply" | "list_reply" => text(reply, "/title").or_else(|| text(reply, "/id"))?.to_owned(),
        "nfm_reply" => return Some(answers(reply)),
        "call_permission_reply" => match text(reply, "/response")? {
            "accept" => "Allows calls".to_owned(),
            "reject" => "Does not allow calls".to_owned(),
            other => format!("Calls: {other}"),
        },
        _ => return None,
    };
    let mut body = Body::text(content).with_data(typed(kind, reply));
    if let (Some(value), Some(title)) = (text(reply, "/id"), text(reply, "/title")) {
        body.attributes.insert("submitted_values".into(), json!([{ "title": title, "value": value }]));
    }
    Some(body)
}

/// What was filled in: a line for each answer.
fn answers(reply: &Value) -> Body {
    let mut data = typed("nfm_reply", reply);
    let filled_in = text(reply, "/response_json").and_then(|raw| serde_json::from_str::<Map<String, Value>>(raw).ok());
    let Some(filled_in) = filled_in else { return Body::text(text(reply, "/body").unwrap_or_default()).with_data(data) };
    let lines =
        filled_in.iter().filter(|(name, _)| name.as_str() != "flow_token").map(|(name, value)| format!("{name}: {}", readable(value)));
    let lines = lines.collect::<Vec<_>>().join("\n");
    let content = if lines.is_empty() { text(reply, "/body").unwrap_or_default().to_owned() } else { lines };
    if let Value::Object(data) = &mut data {
        data.remove("response_json");
        data.insert("response".into(), Value::Object(filled_in));
    }
    Body::text(content).with_data(data)
}

/// A line for each product, what the contact wrote, and the sum where it is in one currency.
fn order(own: &Value) -> String {
    let items = list(own, "product_items");
    let mut lines: Vec<String> = text(own, "/text").map(str::to_owned).into_iter().collect();
    let (mut sum, mut currency) = (Some(0.0), None);
    for item in items {
        let quantity = number(item, "/quantity").unwrap_or(1.0);
        let price = number(item, "/item_price");
        let of_item = text(item, "/currency");
        let product = id(item, "/product_retailer_id").unwrap_or_default();
        let shown = price.map(|price| format!(" ({price} {})", of_item.unwrap_or_default())).unwrap_or_default();
        lines.push(format!("{quantity} × {product}{}", shown.replace(" )", ")")));
        sum = sum.zip(price).map(|(sum, price)| sum + quantity * price).filter(|_| currency.is_none() || currency == of_item);
        currency = of_item;
    }
    if let (Some(sum), Some(currency)) = (sum, currency) {
        lines.push(format!("Total: {} {currency}", (sum * 100.0).round() / 100.0));
    }
    lines.join("\n")
}

fn readable(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(readable).collect::<Vec<_>>().join(", "),
        Value::Object(object) => object.iter().map(|(name, value)| format!("{name}: {}", readable(value))).collect::<Vec<_>>().join("; "),
        other => other.to_string(),
    }
}

/// The text of a message that stands within another.
fn text_of(message: &Value) -> Option<String> {
    let kind = text(message, "/type").unwrap_or("text");
    let own = message.get(kind)?;
    text(own, "/body").or_else(|| text(own, "/caption")).map(str::to_owned)
}

fn typed(kind: &str, own: &Value) -> Value {
    let mut data = attributes(own.clone());
    data.insert("type".into(), kind.into());
    Value::Object(data)
}

fn attributes(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn or_now(at: Option<DateTime<Utc>>) -> DateTime<Utc> {
    at.unwrap_or_else(Utc::now)
}

/// The contact that a message is from, or to.
fn correspondent(node: &Value, setting: &Setting<'_>) -> Option<Identity> {
    let from = ["/from", "/from_user_id", "/from_parent_user_id"];
    let to = ["/to", "/to_user_id", "/to_parent_user_id"];
    let is_own = |pointer: &str| id(node, pointer).is_some_and(|number| digits(&number) == setting.own_number);
    // Of an echo the contact is the receiver; some name the numbers the other way round.
    let [phone, user, parent] = match setting.writer {
        Writer::Business if !is_own("/to") || id(node, "/to_user_id").is_some() => to,
        _ => from,
    };
    identity(id(node, phone), id(node, user), id(node, parent), setting.contacts)
}

/// A person by the number, by Meta's id of the person for this business, and by what the webhook tells of the person. The id comes
/// first: the number may be hidden.
pub fn identity(phone: Option<String>, user_id: Option<String>, parent_id: Option<String>, contacts: &[Value]) -> Option<Identity> {
    let is_meant = |contact: &&Value| {
        let has = |pointer: &str, wanted: &Option<String>| wanted.is_some() && id(contact, pointer) == *wanted;
        has("/user_id", &user_id) || has("/wa_id", &phone)
    };
    let known = contacts.iter().find(is_meant).or(match contacts {
        [only] if phone.is_none() && user_id.is_none() => Some(only),
        _ => None,
    });
    let of_contact = |pointer: &str| known.and_then(|contact| id(contact, pointer));
    let phone = phone.or_else(|| of_contact("/wa_id"));
    let user_id = user_id.or_else(|| of_contact("/user_id"));
    let parent_id = parent_id.or_else(|| of_contact("/parent_user_id"));
    let number = phone.as_deref().map(digits).filter(|number| (7..=15).contains(&number.len()));
    let name = of_contact("/profile/name").or_else(|| of_contact("/profile/username").map(|name| format!("@{name}")));
    let mut names = [user_id, phone, parent_id].into_iter().flatten();
    let source_id = names.next()?;
    let aliases = names.filter(|alias| *alias != source_id).collect();
    let profile = Profile { name, phone_number: number.map(|number| format!("+{number}")), ..Profile::default() };
    Some(Identity { source_id, aliases, profile })
}

/// The digits of a number, however it is written.
pub fn digits(number: &str) -> String {
    number.chars().filter(char::is_ascii_digit).collect()
}

#[cfg(test)]
mod tests;
