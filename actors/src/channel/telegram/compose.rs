//! Turns an [`Outbound`] into the parts that Telegram takes. Pure: the same message gives the same parts in every attempt.
use super::markup::Styled;
use crate::message::{Card, Outbound, OutboundAttachment, Place};
use serde_json::Value;

/// The longest text of a message, in UTF-16 units.
const TEXT_LIMIT: usize = 4096;
/// The longest text below a file.
const CAPTION_LIMIT: usize = 1024;
/// The largest file that a bot may send.
const FILE_LIMIT: usize = 50 << 20;
/// The largest picture; larger ones go as documents.
const PHOTO_LIMIT: usize = 10 << 20;
/// The most files of an album.
const ALBUM_LIMIT: usize = 10;
/// The most bytes that a button gives back.
const DATA_LIMIT: usize = 64;
/// The most buttons below a message.
const CHOICES_LIMIT: usize = 100;
/// Begins what a button gives back in the place of a value that is too long: the message's id and the position follow.
const KEY: &str = "item:";

/// What one call sends.
#[derive(Debug)]
pub enum Part<'message> {
    /// A text, in Telegram's HTML, with buttons below it.
    Text {
        /// The text.
        html: String,
        /// The buttons.
        choices: Vec<Choice>,
    },
    /// One file, or an album of files that may stand in one.
    Files {
        /// At least one, at most ten.
        files: Vec<File<'message>>,
        /// The text below, in Telegram's HTML.
        caption: Option<String>,
    },
    /// A place on the map.
    Place(Place),
    /// A person's card.
    Card(Card),
}

/// A button.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What stands on it.
    pub title: String,
    /// What comes back when it is pressed.
    pub data: String,
}

/// A file and how it is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct File<'message> {
    /// How.
    pub kind: Kind,
    /// The file.
    pub attachment: &'message OutboundAttachment,
}

/// How Telegram shows a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A picture.
    Photo,
    /// A moving picture without sound.
    Animation,
    /// A film.
    Video,
    /// Music.
    Audio,
    /// A spoken message.
    Voice,
    /// A file to download.
    Document,
}

impl Kind {
    /// What Telegram shows in this way: other formats are files to download.
    pub fn of(attachment: &OutboundAttachment) -> Self {
        let content_type = attachment.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match content_type.as_str() {
            "image/jpeg" | "image/png" | "image/webp" if attachment.bytes.len() <= PHOTO_LIMIT => Kind::Photo,
            "image/gif" => Kind::Animation,
            "video/mp4" => Kind::Video,
            "audio/ogg" | "audio/opus" => Kind::Voice,
            "audio/mpeg" | "audio/mp3" | "audio/mp4" | "audio/m4a" | "audio/x-m4a" => Kind::Audio,
            _ => Kind::Document,
        }
    }

    /// Whether both may stand in one album.
    fn goes_with(self, other: Kind) -> bool {
        match (self, other) {
            (Kind::Photo | Kind::Video, Kind::Photo | Kind::Video) => true,
            (Kind::Animation | Kind::Voice, _) => false,
            _ => self == other,
        }
    }
}

/// The parts of a message, in the order in which they are to be sent.
///
/// # Errors
/// Says why Telegram would not take it.
pub fn parts(message: &Outbound) -> Result<Vec<Part<'_>>, String> {
    let text = message.content.as_deref().map(Styled::read).filter(|text| !text.is_empty());
    let choices = choices(message)?;
    if !choices.is_empty() && text.is_none() {
        return Err("a message with choices needs a text at Telegram: write what is to be chosen".into());
    }
    let albums = albums(&message.attachments)?;
    let mut caption =
        text.as_ref().filter(|text| choices.is_empty() && !albums.is_empty() && text.units() <= CAPTION_LIMIT).map(Styled::html);
    let mut texts: Vec<Part<'_>> = Vec::new();
    if let Some(text) = text.filter(|_| caption.is_none()) {
        texts = text.pieces(TEXT_LIMIT).into_iter().map(|html| Part::Text { html, choices: Vec::new() }).collect();
    }
    let mut files = Vec::new();
    for album in albums {
        files.push(Part::Files { files: album, caption: caption.take() });
    }
    files.extend(message.place()?.map(Part::Place));
    for card in message.cards()? {
        if card.phone_number.as_deref().is_none_or(str::is_empty) {
            return Err("Telegram takes a contact only with a telephone number (contacts[].phone_number)".into());
        }
        files.push(Part::Card(card));
    }
    // Buttons stand below the last thing that the contact sees.
    let asks = !choices.is_empty();
    if let Some(Part::Text { choices: below, .. }) = texts.last_mut() {
        *below = choices;
    }
    let parts: Vec<_> = if asks { files.into_iter().chain(texts).collect() } else { texts.into_iter().chain(files).collect() };
    if parts.is_empty() { Err("there is nothing to send: the message has neither a text nor a file".into()) } else { Ok(parts) }
}

/// A text that has to be one message.
///
/// # Errors
/// If it is empty or too long.
pub fn one_text(markdown: &str) -> Result<String, String> {
    let text = Styled::read(markdown);
    if text.is_empty() {
        return Err("the text is empty: Telegram takes no message without one".into());
    }
    if text.units() > TEXT_LIMIT {
        return Err(format!("the text has {} characters; Telegram takes at most {TEXT_LIMIT} in one message", text.units()));
    }
    Ok(text.html())
}

/// Files that follow each other and may stand in one album.
fn albums(attachments: &[OutboundAttachment]) -> Result<Vec<Vec<File<'_>>>, String> {
    let mut albums: Vec<Vec<File<'_>>> = Vec::new();
    for attachment in attachments {
        if attachment.bytes.len() > FILE_LIMIT {
            let (name, size) = (&attachment.file_name, attachment.bytes.len() >> 20);
            return Err(format!("the file {name:?} has {size} MB; Telegram takes at most {} MB", FILE_LIMIT >> 20));
        }
        let file = File { kind: Kind::of(attachment), attachment };
        let fits = |album: &&mut Vec<File<'_>>| album.len() < ALBUM_LIMIT && album.iter().all(|other| other.kind.goes_with(file.kind));
        match albums.last_mut().filter(fits) {
            Some(album) => album.push(file),
            None => albums.push(vec![file]),
        }
    }
    Ok(albums)
}

fn choices(message: &Outbound) -> Result<Vec<Choice>, String> {
    let items = message.content_attributes.get("items").and_then(Value::as_array).filter(|_| message.content_type == "input_select");
    let mut choices = Vec::new();
    for (position, item) in items.into_iter().flatten().enumerate() {
        let word = |name: &str| match item.get(name) {
            Some(Value::String(text)) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let Some(title) = word("title").or_else(|| word("value")) else { continue };
        let value = word("value").unwrap_or_else(|| title.clone());
        let is_short = value.len() <= DATA_LIMIT && !value.starts_with(KEY);
        let data = if is_short { value } else { format!("{KEY}{}:{position}", message.message_id) };
        choices.push(Choice { title, data });
    }
    if choices.len() > CHOICES_LIMIT {
        return Err(format!("the message has {} choices; Telegram shows at most {CHOICES_LIMIT}", choices.len()));
    }
    Ok(choices)
}

#[cfg(test)]
mod tests;
