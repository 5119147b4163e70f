//! Turns an [`Outbound`] into requests: WhatsApp carries one file, one text of 4,096 characters or one choice in a message, so one
//! of ours may become several parts. Pure: the same message gives the same parts in every attempt.
use super::inbound::digits;
use super::json::{one_line, text};
use super::progress::Callback;
use super::template;
use super::text::{length, marked, split};
use crate::message::{Card, Outbound, OutboundAttachment};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// The longest text of a message, in characters.
const TEXT_LIMIT: usize = 4096;
/// The longest text under a file.
const CAPTION_LIMIT: usize = 1024;
/// The longest text above a choice.
const CHOICE_TEXT_LIMIT: usize = 1024;
/// How many cards a message may have.
const CARDS_LIMIT: usize = 5;
/// The largest files, in bytes, by what they are sent as; larger ones go as documents.
const IMAGE_LIMIT: usize = 5 << 20;
const SOUND_LIMIT: usize = 16 << 20;
const STICKER_LIMIT: usize = 500 << 10;
/// The largest file at all.
pub const DOCUMENT_LIMIT: u64 = 100 << 20;

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// `type`, and what is named after it.
    pub body: Value,
    /// A file to upload first.
    pub file: Option<File>,
}

/// A file to upload.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    /// Which of the message's attachments.
    pub attachment: usize,
    /// The type that Meta is told.
    pub content_type: String,
    /// Where in the body its id belongs, as a JSON pointer.
    pub place: String,
}

impl Part {
    fn new(kind: &str, own: Value) -> Self {
        Part { body: json!({ "type": kind, (kind): own }), file: None }
    }

    /// The body with the id of the uploaded file.
    pub fn with_media(&self, media_id: &str) -> Value {
        let mut body = self.body.clone();
        if let Some(place) = self.file.as_ref().and_then(|file| body.pointer_mut(&file.place)) {
            *place = media_id.into();
        }
        body
    }
}

/// The parts of a message, in their order.
///
/// # Errors
/// Says why there can be no such message.
pub fn parts(message: &Outbound) -> Result<Vec<Part>, String> {
    let largest = message.attachments.iter().find(|file| u64::try_from(file.bytes.len()).is_ok_and(|size| size > DOCUMENT_LIMIT));
    if let Some(file) = largest {
        return Err(format!(
            "{} is larger than {} MB, which WhatsApp does not carry",
            one_line(&file.file_name, 100),
            DOCUMENT_LIMIT >> 20
        ));
    }
    if let Some(params) = &message.template {
        return Ok(vec![of_template(message, params)?]);
    }
    let content = marked(message.content.as_deref().unwrap_or_default());
    let mut parts = Vec::new();
    let items = list_of_items(message);
    match choice(message, &content, &items) {
        Some(choice) => {
            parts.extend(message.attachments.iter().enumerate().map(|(index, file)| of_file(message, index, file, "")));
            parts.push(choice);
        }
        None => with_files(message, &with_items(message, content, &items), &mut parts),
    }
    if let Some(place) = message.place()? {
        let mut location = json!({ "latitude": place.latitude.to_string(), "longitude": place.longitude.to_string() });
        if let (Value::Object(location), false) = (&mut location, place.title.is_empty()) {
            location.insert("name".into(), place.title.into());
        }
        parts.push(Part::new("location", location));
    }
    let cards = message.cards()?;
    parts.extend(cards.chunks(CARDS_LIMIT).map(|cards| Part::new("contacts", cards.iter().map(card).collect())));
    if parts.is_empty() { Err("the message is empty: write a text or add a file".into()) } else { Ok(parts) }
}

/// The whole request of a part: who gets it, what it answers, and what comes back in its statuses.
///
/// # Errors
/// If the address of the contact is none of WhatsApp's.
pub fn request(message: &Outbound, body: Value, part: usize, parts: usize) -> Result<Value, String> {
    let mut request = match body {
        Value::Object(body) => body,
        _ => Map::new(),
    };
    let (field, address) = recipient(message)?;
    request.insert("messaging_product".into(), "whatsapp".into());
    request.insert("recipient_type".into(), "individual".into());
    request.insert(field.into(), address.into());
    request.insert("biz_opaque_callback_data".into(), Callback::new(message.message_id, part, parts).to_text().into());
    if let (0, Some(quoted)) = (part, &message.quotes) {
        request.insert("context".into(), json!({ "message_id": quoted }));
    }
    Ok(Value::Object(request))
}

/// A number in digits goes into `to`; Meta's id of a person, such as `US.13491208655302741918`, into `recipient`.
fn recipient(message: &Outbound) -> Result<(&'static str, String), String> {
    let address = message.source_id.trim();
    let number = address.strip_prefix('+').unwrap_or(address);
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(("to", number.to_owned()));
    }
    let is_id = address.split_once('.').is_some_and(|(country, rest)| {
        country.len() == 2 && !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
    });
    if !is_id {
        return Err(format!("{} is no WhatsApp address: expected a telephone number in digits", one_line(address, 100)));
    }
    // Codes to sign in are sent to numbers only.
    let wants_number =
        message.template.as_ref().and_then(|params| text(params, "/category")).is_some_and(|category| category == "AUTHENTICATION");
    match &message.contact_phone_number {
        Some(number) if wants_number => Ok(("to", digits(number))),
        _ => Ok(("recipient", address.to_owned())),
    }
}

fn of_template(message: &Outbound, params: &Value) -> Result<Part, String> {
    if message.attachments.len() > 1 {
        return Err("a template carries one file at most, in its header: send the others in messages of their own".into());
    }
    let attached = message.attachments.first().map(|file| {
        let kind = medium(file, false);
        // A sound or a sticker is no header.
        (if matches!(kind, "image" | "video") { kind } else { "document" }, file)
    });
    let made = template::template(params, attached.map(|(kind, file)| (kind, file.file_name.as_str())))?;
    let file = made.file.zip(attached).map(|(place, (_, file))| File { attachment: 0, content_type: upload_type(file), place });
    Ok(Part { file, ..Part::new("template", made.object) })
}

/// The text under the first file where it fits, otherwise before all files.
fn with_files(message: &Outbound, content: &str, parts: &mut Vec<Part>) {
    let takes_caption =
        message.attachments.first().is_some_and(|file| matches!(medium(file, is_sticker(message)), "image" | "video" | "document"));
    let is_caption = takes_caption && length(content) <= CAPTION_LIMIT;
    if !is_caption {
        parts.extend(split(content, TEXT_LIMIT).into_iter().map(of_text));
    }
    for (index, file) in message.attachments.iter().enumerate() {
        parts.push(of_file(message, index, file, if is_caption && index == 0 { content } else { "" }));
    }
}

fn of_text(content: String) -> Part {
    let has_link = content.contains("https://") || content.contains("http://");
    Part::new("text", json!({ "body": content, "preview_url": has_link }))
}

fn of_file(message: &Outbound, attachment: usize, file: &OutboundAttachment, caption: &str) -> Part {
    let kind = medium(file, is_sticker(message));
    let mut own = Map::new();
    own.insert("id".into(), Value::Null);
    if !caption.is_empty() {
        own.insert("caption".into(), caption.into());
    }
    if kind == "document" && !file.file_name.is_empty() {
        own.insert("filename".into(), one_line(&file.file_name, 240).into());
    }
    let is_voice = message.content_attributes.get("is_voice_message").is_some_and(|voice| voice == true || voice == "true");
    if kind == "audio" && is_voice && is_opus(file) {
        own.insert("voice".into(), true.into());
    }
    let file = File { attachment, content_type: upload_type(file), place: format!("/{kind}/id") };
    Part { file: Some(file), ..Part::new(kind, Value::Object(own)) }
}

/// What a file is sent as: what WhatsApp would not show is a document.
fn medium(file: &OutboundAttachment, sticker: bool) -> &'static str {
    let size = file.bytes.len();
    match upload_type(file).as_str() {
        "image/webp" if sticker && size <= STICKER_LIMIT => "sticker",
        "image/jpeg" | "image/png" if size <= IMAGE_LIMIT => "image",
        "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" if size <= SOUND_LIMIT => "audio",
        "audio/ogg" if size <= SOUND_LIMIT && is_opus(file) => "audio",
        "video/mp4" | "video/3gpp" if size <= SOUND_LIMIT => "video",
        _ => "document",
    }
}

/// The type without parameters, by the name that Meta knows it by.
fn upload_type(file: &OutboundAttachment) -> String {
    let essence = file.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "audio/m4a" | "audio/x-m4a" => "audio/mp4".into(),
        "audio/mp3" => "audio/mpeg".into(),
        "image/jpg" => "image/jpeg".into(),
        essence if essence.contains('/') && essence.bytes().all(|byte| byte.is_ascii_graphic()) => essence.into(),
        _ => "application/octet-stream".into(),
    }
}

/// Whether a sound is Opus in Ogg, the only sound in Ogg that WhatsApp plays: the first page says so.
fn is_opus(file: &OutboundAttachment) -> bool {
    let head = file.bytes.get(..file.bytes.len().min(64)).unwrap_or_default();
    head.starts_with(b"OggS") && head.windows(8).any(|window| window == b"OpusHead")
}

fn is_sticker(message: &Outbound) -> bool {
    message.content_type == "sticker"
}

/// An item of a choice.
struct Item {
    title: String,
    value: String,
}

fn list_of_items(message: &Outbound) -> Vec<Item> {
    let items = message.content_attributes.get("items").and_then(Value::as_array).into_iter().flatten();
    let item = |item: &Value| {
        let title = one_line(text(item, "/title")?, 1000);
        let value = text(item, "/value").map_or_else(|| title.clone(), str::to_owned);
        Some(Item { title, value })
    };
    items.filter_map(item).filter(|item| !item.title.is_empty()).collect()
}

/// Buttons or a list, where all of it fits; otherwise the items are written out.
fn choice(message: &Outbound, content: &str, items: &[Item]) -> Option<Part> {
    let is_choice = message.content_type == "input_select" && !items.is_empty();
    let distinct = |of: fn(&Item) -> &str| items.iter().map(of).collect::<HashSet<_>>().len() == items.len();
    let fits = |title: usize, value: usize| items.iter().all(|item| length(&item.title) <= title && length(&item.value) <= value);
    let is_possible = is_choice
        && !content.is_empty()
        && length(content) <= CHOICE_TEXT_LIMIT
        && distinct(|item| &item.title)
        && distinct(|item| &item.value);
    if !is_possible {
        return None;
    }
    let (kind, action) = if items.len() <= 3 && fits(20, 256) {
        let button = |item: &Item| json!({ "type": "reply", "reply": { "id": item.value, "title": item.title } });
        ("button", json!({ "buttons": items.iter().map(button).collect::<Vec<_>>() }))
    } else if items.len() <= 10 && fits(24, 200) {
        let row = |item: &Item| json!({ "id": item.value, "title": item.title });
        ("list", json!({ "button": "Options", "sections": [{ "title": "Options", "rows": items.iter().map(row).collect::<Vec<_>>() }] }))
    } else {
        return None;
    };
    Some(Part::new("interactive", json!({ "type": kind, "body": { "text": content }, "action": action })))
}

/// The text with its items below it: options numbered, so that they can be answered; cards and articles with what they lead to.
fn with_items(message: &Outbound, content: String, items: &[Item]) -> String {
    let shown = |item: &Value| {
        let own = ["/title", "/description", "/link", "/media_url"].iter().filter_map(|pointer| text(item, pointer));
        let actions = item.get("actions").and_then(Value::as_array).into_iter().flatten().filter_map(|action| text(action, "/uri"));
        own.chain(actions).map(|words| one_line(words, 1000)).collect::<Vec<_>>().join(" – ")
    };
    let lines: Vec<String> = match message.content_type.as_str() {
        "input_select" => items.iter().zip(1..).map(|(item, number)| format!("{number}. {}", item.title)).collect(),
        "cards" | "article" => message.content_attributes.get("items").and_then(Value::as_array).into_iter().flatten().map(shown).collect(),
        _ => Vec::new(),
    };
    [content, lines.join("\n")].into_iter().filter(|block| !block.is_empty()).collect::<Vec<_>>().join("\n\n")
}

fn card(card: &Card) -> Value {
    let names: Vec<&str> = [card.first_name.as_str(), card.last_name.as_str()].into_iter().filter(|name| !name.is_empty()).collect();
    let number = card.phone_number.as_deref().unwrap_or_default();
    let whole = if names.is_empty() { number.to_owned() } else { names.join(" ") };
    // One part beside the whole name is demanded.
    let first = if card.first_name.is_empty() { whole.as_str() } else { card.first_name.as_str() };
    let mut name = json!({ "formatted_name": whole, "first_name": first });
    if let (Value::Object(name), false) = (&mut name, card.last_name.is_empty()) {
        name.insert("last_name".into(), card.last_name.as_str().into());
    }
    let phones = if number.is_empty() { json!([]) } else { json!([{ "phone": number }]) };
    json!({ "name": name, "phones": phones })
}

#[cfg(test)]
mod tests;
