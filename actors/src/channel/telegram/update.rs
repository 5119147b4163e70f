//! Reads updates of the Bot API. Pure, and tolerant: what is missing or of another kind is left out, a message whose content is
//! unknown is shown as unsupported with everything that came, an update that is none is kept as it came.
use super::{content, entities, provider_id};
use crate::message::{Edit, Inbound, Profile, Reaction, Update};
use crate::secret;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The updates that are asked for; Telegram leaves some out unless they are named.
pub const WANTED: [&str; 5] = ["message", "edited_message", "callback_query", "message_reaction", "my_chat_member"];

/// What others may come, left over from another program's settings: they tell nothing of a conversation in private.
const UNWANTED: [&str; 20] = [
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "guest_message",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
    "managed_bot",
];

/// What happened, nothing where it is not of a private chat, or why it cannot be read.
type Read = Result<Option<Update>, &'static str>;

/// What happened; nothing where it is not of a private chat.
pub fn read(update: &Value) -> Vec<Update> {
    // No text keeps a NUL: one of the databases takes none, and the update would come again for ever.
    let update = if has_nul(update) { Cow::Owned(without_nul(update)) } else { Cow::Borrowed(update) };
    let update = &*update;
    let readers: [fn(&Value) -> Read; 5] = [message, edited, button, reaction, membership];
    let known = WANTED.iter().zip(readers).find_map(|(name, reader)| Some(reader(update.get(name)?)));
    let read = match known {
        Some(read) => read,
        None if UNWANTED.iter().any(|name| update.get(name).is_some()) => Ok(None),
        None => Err("an update of a kind that is not known"),
    };
    match read {
        Ok(read) => read.into_iter().collect(),
        Err(reason) => {
            let raw = update.to_string();
            let key = id(update).map_or_else(|| secret::hash(&raw), |id| id.to_string());
            vec![unreadable(key, reason.into(), raw.into())]
        }
    }
}

/// The number of an update.
pub fn id(update: &Value) -> Option<i64> {
    number(update, "update_id")
}

/// Which press of a button an update tells of: Telegram wants it answered.
pub fn pressed(update: &Value) -> Option<&str> {
    text(update.get("callback_query")?, "id")
}

/// An update that is kept as it came.
pub fn unreadable(key: String, reason: String, raw: Bytes) -> Update {
    Update::Unreadable { provider_key: format!("update:{key}"), reason, raw }
}

/// A text of an object; none if it is empty.
pub fn text<'value>(of: &'value Value, name: &str) -> Option<&'value str> {
    of.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A whole number of an object.
pub fn number(of: &Value, name: &str) -> Option<i64> {
    of.get(name).and_then(Value::as_i64)
}

fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(has_nul),
        Value::Object(object) => object.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn without_nul(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text.replace('\0', "")),
        Value::Array(list) => list.iter().map(without_nul).collect(),
        Value::Object(object) => object.iter().map(|(name, value)| (name.replace('\0', ""), without_nul(value))).collect(),
        other => other.clone(),
    }
}

fn time(of: &Value, name: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(number(of, name)?, 0)
}

fn is_private(of: &Value) -> bool {
    of.get("chat").and_then(|chat| text(chat, "type")) == Some("private")
}

/// Who did it, and the message's id.
fn origin(message: &Value) -> Result<(i64, String), &'static str> {
    let chat = message.get("chat").and_then(|chat| number(chat, "id")).ok_or("a message without its chat")?;
    let message = number(message, "message_id").ok_or("a message without its id")?;
    Ok((chat, provider_id(chat, message)))
}

fn message(message: &Value) -> Read {
    let (chat, id) = origin(message)?;
    if !is_private(message) {
        return Ok(None);
    }
    let sender = message.get("from").filter(|from| number(from, "id").is_some()).ok_or("a message without its sender")?;
    let Some(content) = content::read(message) else { return Ok(None) };
    let mut content_attributes = content.attributes;
    if let Some(group) = text(message, "media_group_id") {
        content_attributes.insert("media_group_id".into(), json!(group));
    }
    if let Some(quoted) = message.get("quote").and_then(|quote| text(quote, "text")) {
        content_attributes.insert("quote".into(), json!({ "text": quoted }));
    }
    let mut conversation_attributes = Map::from_iter([("chat_id".into(), json!(chat))]);
    if let Some(payload) = text(message, "text").and_then(|text| text.strip_prefix("/start ")) {
        conversation_attributes.insert("start_payload".into(), json!(payload.trim()));
    }
    let quotes = message.get("reply_to_message").and_then(|quoted| number(quoted, "message_id"));
    Ok(Some(Update::Message(Box::new(Inbound {
        source_id: source_id(sender),
        sent_at: time(message, "date"),
        quotes: quotes.map(|quoted| provider_id(chat, quoted)),
        sender: profile(sender),
        provider_id: Some(id),
        content: content.text,
        content_type: "text",
        content_attributes,
        conversation_attributes,
        attachments: content.attachments,
        ..Inbound::default()
    }))))
}

fn edited(message: &Value) -> Read {
    let (_, provider_id) = origin(message)?;
    // A place that moves is told as an edit, too: there is nothing to read in it.
    if !is_private(message) || message.get("location").is_some() {
        return Ok(None);
    }
    let sender = message.get("from").filter(|from| number(from, "id").is_some()).ok_or("an edit without its writer")?;
    let at = time(message, "edit_date").or_else(|| time(message, "date")).ok_or("an edit without its time")?;
    Ok(Some(Update::Edit(Edit { source_id: source_id(sender), provider_id, content: entities::text_of(message), at })))
}

/// A button of ours was pressed: what stands on it is what the contact says.
fn button(query: &Value) -> Read {
    let id = text(query, "id").ok_or("the press of a button without its id")?;
    let sender = query.get("from").filter(|from| number(from, "id").is_some()).ok_or("the press of a button without its contact")?;
    // Without a message it was one that the contact passed on to another chat.
    let Some(message) = query.get("message").filter(|message| is_private(message)) else { return Ok(None) };
    let data = text(query, "data");
    let rows = message.get("reply_markup").and_then(|markup| markup.get("inline_keyboard")).and_then(Value::as_array);
    let mut buttons = rows.into_iter().flatten().filter_map(Value::as_array).flatten();
    let pressed = buttons.find(|button| data.is_some() && text(button, "callback_data") == data);
    let title = pressed.and_then(|button| text(button, "text")).or(data).ok_or("the press of a button without its data")?;
    let submitted = json!([{ "title": title, "value": data.unwrap_or(title) }]);
    let (chat, quoted) = origin(message)?;
    Ok(Some(Update::Message(Box::new(Inbound {
        source_id: source_id(sender),
        quotes: Some(quoted),
        sender: profile(sender),
        provider_id: Some(format!("callback:{id}")),
        content: Some(title.to_owned()),
        content_type: "text",
        content_attributes: Map::from_iter([("submitted_values".into(), submitted)]),
        conversation_attributes: Map::from_iter([("chat_id".into(), json!(chat))]),
        ..Inbound::default()
    }))))
}

fn reaction(change: &Value) -> Read {
    let (_, provider_id) = origin(change)?;
    if !is_private(change) {
        return Ok(None);
    }
    let sender = change.get("user").filter(|user| number(user, "id").is_some()).ok_or("a reaction without its contact")?;
    let at = time(change, "date").ok_or("a reaction without its time")?;
    let reactions = change.get("new_reaction").and_then(Value::as_array).ok_or("a reaction without its emojis")?;
    let emojis = reactions.iter().filter_map(|reaction| match text(reaction, "type")? {
        "emoji" => text(reaction, "emoji").map(str::to_owned),
        // A picture, which has no letter: its number says at least that there is one, and which.
        "custom_emoji" => text(reaction, "custom_emoji_id").map(|id| format!("custom:{id}")),
        "paid" => Some("⭐".into()),
        other => Some(other.to_owned()),
    });
    Ok(Some(Update::Reaction(Reaction { source_id: source_id(sender), provider_id, emojis: emojis.collect(), at })))
}

/// The contact has blocked the bot, or lets it write again.
fn membership(change: &Value) -> Read {
    let chat = change.get("chat").and_then(|chat| number(chat, "id")).ok_or("a membership without its chat")?;
    let status = change.get("new_chat_member").and_then(|member| text(member, "status")).ok_or("a membership without its status")?;
    let reachable = match status {
        "kicked" => false,
        "member" => true,
        _ => return Ok(None),
    };
    if !is_private(change) {
        return Ok(None);
    }
    let reason = (!reachable).then(|| "the contact has blocked the bot".to_owned());
    Ok(Some(Update::Reachable { source_id: chat.to_string(), reachable, reason }))
}

fn source_id(sender: &Value) -> String {
    number(sender, "id").unwrap_or_default().to_string()
}

fn profile(sender: &Value) -> Profile {
    let names: Vec<&str> = ["first_name", "last_name"].iter().filter_map(|name| text(sender, name)).collect();
    let mut attributes = Map::new();
    if let Some(username) = text(sender, "username") {
        attributes.insert("username".into(), json!(username));
        attributes.insert("social_profiles".into(), json!({ "telegram": username }));
    }
    if let Some(language) = text(sender, "language_code") {
        attributes.insert("language_code".into(), json!(language));
    }
    let name = Some(names.join(" ")).filter(|name| !name.trim().is_empty());
    Profile { name, attributes, ..Profile::default() }
}

#[cfg(test)]
mod tests;
