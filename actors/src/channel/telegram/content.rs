//! Reads what a message carries: texts, files, places, cards, and what is shown as text for want of a better form. Pure.
use super::entities;
use super::update::{number, text};
use crate::message::{Card, InboundAttachment, Place, RemoteFile};
use serde_json::{Map, Value, json};

/// What a message carries.
#[derive(Debug, Default)]
pub struct Content {
    /// The text.
    pub text: Option<String>,
    /// What is kept with the message.
    pub attributes: Map<String, Value>,
    /// Everything beside the text.
    pub attachments: Vec<InboundAttachment>,
}

/// What Telegram notes in a private chat beside what people say: there is nothing to read or to answer in it.
const NOTES: [&str; 9] = [
    "pinned_message",
    "message_auto_delete_timer_changed",
    "write_access_allowed",
    "chat_background_set",
    "connected_website",
    "forum_topic_created",
    "forum_topic_edited",
    "forum_topic_closed",
    "forum_topic_reopened",
];

/// Reads it; none where Telegram only notes something.
pub fn read(message: &Value) -> Option<Content> {
    if NOTES.iter().any(|note| message.get(note).is_some()) {
        return None;
    }
    let text = entities::text_of(message);
    // Some kinds carry a second form of the same for programs that know only that: the first found is the one.
    let readers: [fn(&Value) -> Option<InboundAttachment>; 12] =
        [animation, live_photo, photo, video, document, audio, voice, video_note, sticker, venue, location, contact];
    let attachments: Vec<_> = readers.iter().find_map(|reader| reader(message)).into_iter().collect();
    let text = text.or_else(|| poll(message)).or_else(|| dice(message)).or_else(|| emoji(message));
    if text.is_some() || !attachments.is_empty() {
        return Some(Content { text, attachments, ..Content::default() });
    }
    let attributes = Map::from_iter([("is_unsupported".into(), json!(true)), ("data".into(), message.clone())]);
    Some(Content { attributes, ..Content::default() })
}

/// A file of the message: its name and type where the sender tells them.
fn file(of: &Value, file_name: Option<&str>, content_type: &str) -> Option<InboundAttachment> {
    let file_id = text(of, "file_id")?;
    let reference = json!({ "file_id": file_id, "file_unique_id": text(of, "file_unique_id") });
    Some(InboundAttachment::Remote(RemoteFile {
        reference,
        file_name: text(of, "file_name").or(file_name).unwrap_or_default().to_owned(),
        content_type: text(of, "mime_type").unwrap_or(content_type).to_owned(),
        byte_size: number(of, "file_size").and_then(|size| size.try_into().ok()),
    }))
}

/// Telegram makes several sizes of a picture: the largest.
fn photo(message: &Value) -> Option<InboundAttachment> {
    file(largest(message.get("photo")?)?, Some("photo.jpg"), "image/jpeg")
}

/// The largest of the sizes of a picture.
pub fn largest(sizes: &Value) -> Option<&Value> {
    let area = |size: &&Value| number(size, "width").unwrap_or(0).saturating_mul(number(size, "height").unwrap_or(0));
    sizes.as_array()?.iter().filter(|size| text(size, "file_id").is_some()).max_by_key(area)
}

fn animation(message: &Value) -> Option<InboundAttachment> {
    file(message.get("animation")?, Some("animation.mp4"), "video/mp4")
}

fn live_photo(message: &Value) -> Option<InboundAttachment> {
    file(message.get("live_photo")?, Some("live_photo.mp4"), "video/mp4")
}

fn video(message: &Value) -> Option<InboundAttachment> {
    file(message.get("video")?, Some("video.mp4"), "video/mp4")
}

fn document(message: &Value) -> Option<InboundAttachment> {
    file(message.get("document")?, None, "application/octet-stream")
}

fn audio(message: &Value) -> Option<InboundAttachment> {
    let audio = message.get("audio")?;
    let named: Vec<&str> = ["performer", "title"].iter().filter_map(|name| text(audio, name)).collect();
    let name = if named.is_empty() { "audio".to_owned() } else { named.join(" - ") };
    file(audio, Some(&format!("{name}.mp3")), "audio/mpeg")
}

fn voice(message: &Value) -> Option<InboundAttachment> {
    file(message.get("voice")?, Some("voice.ogg"), "audio/ogg")
}

fn video_note(message: &Value) -> Option<InboundAttachment> {
    file(message.get("video_note")?, Some("video_note.mp4"), "video/mp4")
}

fn sticker(message: &Value) -> Option<InboundAttachment> {
    let sticker = message.get("sticker")?;
    let is = |name: &str| sticker.get(name).and_then(Value::as_bool).unwrap_or(false);
    let (name, content_type) = match (is("is_animated"), is("is_video")) {
        (true, _) => ("sticker.tgs", "application/x-tgsticker"),
        (_, true) => ("sticker.webm", "video/webm"),
        _ => ("sticker.webp", "image/webp"),
    };
    file(sticker, Some(name), content_type)
}

/// An animated sticker is a file that browsers do not show: its emoji says what it means.
fn emoji(message: &Value) -> Option<String> {
    let sticker = message.get("sticker").filter(|sticker| sticker.get("is_animated") == Some(&Value::Bool(true)))?;
    text(sticker, "emoji").map(str::to_owned)
}

fn place(location: &Value, title: String) -> Option<InboundAttachment> {
    let degrees = |name: &str| location.get(name).and_then(Value::as_f64);
    Some(InboundAttachment::Place(Place { latitude: degrees("latitude")?, longitude: degrees("longitude")?, title }))
}

fn venue(message: &Value) -> Option<InboundAttachment> {
    let venue = message.get("venue")?;
    let words: Vec<&str> = ["title", "address"].iter().filter_map(|name| text(venue, name)).collect();
    place(venue.get("location")?, words.join(", "))
}

fn location(message: &Value) -> Option<InboundAttachment> {
    let location = message.get("location")?;
    let title = if location.get("live_period").is_some() { "Live location" } else { "" };
    place(location, title.into())
}

fn contact(message: &Value) -> Option<InboundAttachment> {
    let contact = message.get("contact")?;
    let word = |name: &str| text(contact, name).map(str::to_owned);
    let phone_number = word("phone_number");
    let card = Card { first_name: word("first_name").unwrap_or_default(), last_name: word("last_name").unwrap_or_default(), phone_number };
    Some(InboundAttachment::Card(card))
}

fn poll(message: &Value) -> Option<String> {
    let poll = message.get("poll")?;
    let options = poll.get("options").and_then(Value::as_array).into_iter().flatten().filter_map(|option| text(option, "text"));
    let lines = std::iter::once(text(poll, "question")?.to_owned()).chain(options.map(|option| format!("- {option}")));
    Some(lines.collect::<Vec<_>>().join("\n"))
}

fn dice(message: &Value) -> Option<String> {
    let dice = message.get("dice")?;
    Some(format!("{} {}", text(dice, "emoji")?, number(dice, "value")?))
}
