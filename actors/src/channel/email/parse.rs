//! Turns a raw mail into an [`Inbound`]. Pure, but slow for large mails: run it where it may block.
//!
//! Delivery reports are delivered as automatic mails for now; matching one with the message it is about comes later, here.
use super::automatic::is_automatic;
use super::html::{self, InlineImages};
use super::quote::{self, Split};
use super::screen;
use crate::channel::email::capabilities;
use crate::message::{Inbound, InboundAttachment, InboundFile, OwnMessage, Profile, Reference, Thread};
use crate::wire::set;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use mail_parser::{Address, Encoding, HeaderName, HeaderValue, Message, MessageParser, MessagePart, MimeHeaders, PartType};
use regex::Regex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Marks provider ids that are no Message-IDs, but made from what a mail without one says.
pub const HASH_PREFIX: &str = "sha256:";

/// More text than this, in bytes, is cut.
const TEXT_LIMIT: usize = 1 << 20;

/// Headers besides the usual ones that are kept with the message: who a forwarded mail came from, where answers go, what the
/// sender's program calls the thread.
const KEPT_HEADERS: [&str; 6] = ["x-original-from", "x-original-sender", "x-forwarded-for", "reply-to", "list-id", "thread-index"];

/// The most messages that a mail is looked up by.
const THREAD_LIMIT: usize = 80;
/// The most addresses to which answers go.
const REPLY_TO_LIMIT: usize = 10;
/// How many bytes of a Thread-Index are the same in a whole thread.
pub const THREAD_ROOT_LENGTH: usize = 22;

/// Where the address shows that a mail was delivered to, beside To and Cc.
const ENVELOPE_HEADERS: [&str; 3] = ["delivered-to", "x-original-to", "envelope-to"];

/// Parses a mail of the inbox with the address `own_address`. Of a mail of `too_large` bytes only the headers are given.
///
/// A mail from that very address may be a copy of what was sent from here, which its id tells, but also what a web form or a shop
/// sends in the inbox's name: then who is to be answered is who wrote.
///
/// # Errors
/// Says why the mail cannot be read; it is to be parked.
pub fn parse(raw: &[u8], own_address: &str, too_large: Option<u32>, now: DateTime<Utc>) -> Result<Inbound, String> {
    let screened = screen::screen(raw)?;
    let parser = MessageParser::default();
    let parsed = if too_large.is_some() { parser.parse_headers(&screened) } else { parser.parse(&screened) };
    let mail = parsed.filter(|mail| !mail.parts.is_empty()).ok_or("this is no mail: it has no headers")?;
    let headers = raw_headers(&mail);
    let own_address = own_address.to_lowercase();
    let reply_to: Vec<Person> = people(mail.reply_to()).filter(|(_, address)| *address != own_address).collect();
    let stated = sender(&mail).ok_or("this mail has no sender address")?;
    let is_own = stated.1 == own_address;
    let automatic = is_own || is_automatic(&headers, &stated.1);
    let (sender_name, sender) = reply_to.first().filter(|_| is_own).cloned().unwrap_or(stated);
    let subject = clip(mail.subject().unwrap_or_default().trim(), 1_000);
    let in_reply_to = ids(mail.in_reply_to());
    let references = ids(mail.references());
    let provider_id = mail.message_id().map(str::trim).filter(|id| !id.is_empty() && id.len() <= 500);
    let provider_id = provider_id.map_or_else(|| hash(raw, &headers), str::to_owned);

    let (attachments, images) = attachments(&mail, raw);
    let body = too_large.map_or_else(|| Body::of(&mail, &images), Body::too_large);
    let attachments = keep_referenced_ids(attachments, body.html.as_ref());
    let mut content = body.visible();
    if content.is_empty() && attachments.is_empty() {
        content.clone_from(&subject);
    }

    let mut email = json!({
        "from": addresses(mail.from()),
        "to": addresses(mail.to()),
        "cc": addresses(mail.cc()),
        "bcc": addresses(mail.bcc()),
        "subject": subject,
        "date": mail.date().filter(|date| date.is_valid()).map(mail_parser::DateTime::to_rfc3339),
        "message_id": mail.message_id(),
        "in_reply_to": in_reply_to.first(),
        "multipart": mail.root_part().is_multipart(),
        "content_type": header(&headers, "content-type").map(|value| screen::original_type(&value)),
        "number_of_attachments": attachments.len(),
        "references": references,
        "headers": KEPT_HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), Value::from(header(&headers, name)?)))).collect::<Map<_, _>>(),
        "html_content": forms(body.html.as_ref()),
        "text_content": forms(body.text.as_ref()),
        "auto_reply": automatic,
    });
    if !reply_to.is_empty() && !is_of_list(&headers) {
        set(&mut email, "reply_to", reply_to.into_iter().map(|(_, address)| address).take(REPLY_TO_LIMIT).collect());
    }
    let thread_index = header(&headers, "thread-index").and_then(|index| thread_root(&index));
    let mut conversation = json!({
        "source": "email",
        "mail_subject": subject,
        "in_reply_to": in_reply_to.first(),
        "auto_reply": automatic,
        "initiated_at": { "timestamp": now.to_rfc3339() },
    });
    if let Some(index) = &thread_index {
        set(&mut conversation, "thread_index", index.clone().into());
    }
    let recipients = recipients(&mail, &headers);
    let provider_id = without_nul(&provider_id);
    Ok(Inbound {
        source_id: without_nul(&sender),
        sender: Profile { name: sender_name, email: Some(without_nul(&sender)), ..Profile::default() },
        thread: Thread::References(thread(&recipients, &in_reply_to, &references, thread_index)),
        echo_of: own_message(&provider_id),
        provider_id: Some(provider_id),
        content: (!content.is_empty() || attachments.is_empty()).then(|| clip(&content, capabilities().content_limit)),
        content_type: "incoming_email",
        content_attributes: object(json!({ "email": email })),
        conversation_attributes: object(conversation),
        attachments: attachments.into_iter().map(InboundAttachment::File).collect(),
        ..Inbound::default()
    })
}

/// The forms of a body, as the contract has them.
struct Forms {
    full: String,
    reply: String,
    quoted: String,
}

struct Body {
    text: Option<Forms>,
    html: Option<Forms>,
}

impl Body {
    fn of(mail: &Message<'_>, images: &InlineImages) -> Self {
        let html = html_of(mail).map(|source| {
            let clean = |part: &str| html::clean_inbound(part, images);
            let shows = |part: &str| {
                let cleaned = clean(part);
                cleaned.contains("<img") || !html::to_text(&cleaned).is_empty()
            };
            let Split { reply, quoted } = quote::split_html(&source, shows);
            Forms { full: clean(&source), reply: clean(&reply), quoted: clean(&quoted) }
        });
        let text = match (text_of(mail), &html) {
            (Some(full), _) => {
                let Split { reply, quoted } = quote::split_text(&full);
                Some(Forms { full, reply, quoted })
            }
            (None, Some(html)) => {
                // What marks a quotation in HTML is gone in its text, so the parts are turned into text one by one.
                let Split { reply, quoted } = quote::split_text(&html::to_text(&html.reply));
                let quoted = [quoted, html::to_text(&html.quoted)].iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>();
                Some(Forms { full: html::to_text(&html.full), reply, quoted: quoted.join("\n\n") })
            }
            (None, None) => None,
        };
        Body { text, html }
    }

    fn too_large(size: u32) -> Self {
        let note = format!("This mail of {} MB is too large to be fetched. It is still in the mailbox, marked as unread.", size >> 20);
        Body { text: Some(Forms { full: note.clone(), reply: note, quoted: String::new() }), html: None }
    }

    fn visible(&self) -> String {
        self.text.as_ref().map(|text| text.reply.trim().to_owned()).unwrap_or_default()
    }
}

fn forms(forms: Option<&Forms>) -> Value {
    match forms {
        Some(Forms { full, reply, quoted }) => json!({ "full": full, "reply": reply, "quoted": quoted }),
        None => json!({ "full": null, "reply": null, "quoted": null }),
    }
}

fn text_of(mail: &Message<'_>) -> Option<String> {
    let texts: Vec<String> = mail
        .text_bodies()
        .filter_map(|part| match &part.body {
            PartType::Text(text) => Some(unwrap_lines(&screen::original_type(text), part)),
            _ => None,
        })
        .chain(unopened(mail).map(str::to_owned))
        .filter(|text| !text.trim().is_empty())
        .collect();
    let text = texts.join("\n\n").replace("\r\n", "\n");
    (!text.is_empty()).then(|| clip(&text, TEXT_LIMIT))
}

/// The text of a mail that claims to have parts and has none.
fn unopened<'mail>(mail: &'mail Message<'_>) -> Option<&'mail str> {
    match (&mail.root_part().body, mail.root_part().content_type()) {
        (PartType::Text(text), Some(kind)) if kind.ctype() == "multipart" => Some(text),
        _ => None,
    }
}

/// The HTML of a mail that has any; plain parts between are made HTML.
fn html_of(mail: &Message<'_>) -> Option<String> {
    let has_html = mail.html_bodies().any(|part| matches!(part.body, PartType::Html(_)));
    let html = mail.html_bodies().filter_map(|part| match &part.body {
        PartType::Html(html) => Some(html.to_string()),
        PartType::Text(text) if has_html => Some(format!("<pre>{}</pre>", ammonia::clean_text(text))),
        _ => None,
    });
    let html = html.collect::<Vec<_>>().join("<br>");
    (has_html && !html.trim().is_empty()).then_some(html)
}

/// Joins the lines of `format=flowed` (RFC 3676): one that ends with a blank goes on in the next.
fn unwrap_lines(text: &str, part: &MessagePart<'_>) -> String {
    let parameter = |name: &str| part.content_type().and_then(|kind| kind.attribute(name)).unwrap_or_default().to_ascii_lowercase();
    if parameter("format") != "flowed" {
        return text.to_owned();
    }
    let deletes_blank = parameter("delsp") == "yes";
    let mut joined = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        let flows = line.ends_with(' ') && line != "-- " && !line.starts_with('>');
        joined.push_str(if flows && deletes_blank { line.strip_suffix(' ').unwrap_or(line) } else { line });
        if !flows {
            joined.push('\n');
        }
    }
    joined
}

/// The files of a mail, and how its HTML refers to them.
fn attachments(mail: &Message<'_>, raw: &[u8]) -> (Vec<InboundFile>, InlineImages) {
    let mut images = InlineImages::new();
    let mut attachments = Vec::new();
    for (number, part) in mail.attachments().enumerate().filter(|_| unopened(mail).is_none()) {
        let kind = part.content_type().map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("octet-stream")));
        let content_type = screen::original_type(&kind.unwrap_or_else(|| "application/octet-stream".into()).to_ascii_lowercase());
        let is_mail = content_type.starts_with("message/") && content_type != "message/delivery-status";
        let file_name = part.attachment_name().map(|name| clip(name.trim(), 255));
        let content_id = part.content_id().map(|id| id.trim_matches(['<', '>']).to_owned()).filter(|id| !id.is_empty());
        let location = part.content_location().map(str::trim).filter(|location| !location.is_empty());
        let content_id = content_id.or_else(|| location.map(|_| format!("part{number}@inline"))).map(|id| without_nul(&id));
        if let Some(id) = &content_id {
            images.insert(format!("cid:{}", html::percent_decode(id)), id.clone());
            if let Some(location) = location {
                images.insert(location.to_owned(), id.clone());
            }
        }
        attachments.push(InboundFile {
            file_name: file_name.unwrap_or_else(|| if is_mail { "message.eml".into() } else { String::new() }),
            content_type,
            bytes: bytes_of(part, raw),
            content_id,
        });
    }
    (attachments, images)
}

/// The bytes as they were sent: screening changed a copy, and decoding text changes its character set.
fn bytes_of(part: &MessagePart<'_>, raw: &[u8]) -> Bytes {
    let range = usize::try_from(part.offset_body).ok().zip(usize::try_from(part.offset_end).ok());
    let original = range.filter(|_| part.encoding == Encoding::None).and_then(|(start, end)| raw.get(start..end));
    Bytes::copy_from_slice(original.unwrap_or_else(|| part.contents()))
}

/// An id that nothing refers to does not make an inline image.
fn keep_referenced_ids(mut attachments: Vec<InboundFile>, html: Option<&Forms>) -> Vec<InboundFile> {
    for attachment in &mut attachments {
        let is_referenced = |id: &String| html.is_some_and(|html| html.full.contains(&format!("\"cid:{id}\"")));
        attachment.content_id = attachment.content_id.take().map(|id| escape_attribute(&id)).filter(is_referenced);
    }
    attachments
}

fn escape_attribute(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Ids that we give: of a conversation, and of a message in it.
static OWN_ID: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)^(?:account/\d+/)?conversation/([0-9a-f-]{32,36})(?:/messages/(\d+))?@").ok());

/// What tells the conversation, in the order of trust: our own reply address, what is answered, what came before, a conversation
/// that these ids name even where the message itself is not known, and what the sender's program calls the thread.
fn thread(recipients: &[String], in_reply_to: &[String], references: &[String], thread_index: Option<String>) -> Vec<Reference> {
    static REPLY_ADDRESS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)\breply\+([0-9a-f-]{32,36})@").ok());
    let uuid = |pattern: &LazyLock<Option<Regex>>, text: &str| -> Option<Reference> {
        let found = pattern.as_ref()?.captures(text)?;
        found.get(1)?.as_str().parse().ok().map(Reference::Conversation)
    };
    let ids = || in_reply_to.iter().chain(references.iter().rev()).take(THREAD_LIMIT);
    let mut thread: Vec<Reference> = recipients.iter().filter_map(|address| uuid(&REPLY_ADDRESS, address)).take(THREAD_LIMIT).collect();
    thread.extend(ids().map(|id| Reference::Message(without_nul(id))));
    thread.extend(ids().filter_map(|id| uuid(&OWN_ID, id)));
    thread.extend(thread_index.map(Reference::ThreadIndex));
    let mut seen = Vec::new();
    thread.retain(|reference| {
        !seen.contains(reference) && {
            seen.push(reference.clone());
            true
        }
    });
    thread
}

/// The message of ours that an id names.
fn own_message(id: &str) -> Option<OwnMessage> {
    let found = OWN_ID.as_ref()?.captures(id)?;
    Some(OwnMessage { conversation: found.get(1)?.as_str().parse().ok()?, message: found.get(2)?.as_str().parse().ok()? })
}

/// What all mails of a thread have in common in their Thread-Index (MS-OXOMSG 2.2.1.3): a time and a GUID, 22 bytes in Base64.
/// Every answer appends to it.
fn thread_root(index: &str) -> Option<String> {
    let bytes = STANDARD.decode(index.split_whitespace().collect::<String>()).ok()?;
    bytes.get(..THREAD_ROOT_LENGTH).map(|root| STANDARD.encode(root))
}

/// Whether a mail came over a mailing list, which puts its own address where answers go.
fn is_of_list(headers: &[(String, String)]) -> bool {
    headers.iter().any(|(name, value)| match name.as_str() {
        "list-id" | "list-post" => true,
        "precedence" => value.trim().eq_ignore_ascii_case("list"),
        _ => false,
    })
}

fn recipients(mail: &Message<'_>, headers: &[(String, String)]) -> Vec<String> {
    let named = [mail.to(), mail.cc()].into_iter().flat_map(addresses);
    named.chain(headers.iter().filter(|(name, _)| ENVELOPE_HEADERS.contains(&name.as_str())).map(|(_, value)| value.clone())).collect()
}

/// A name, where there is one, and a lower-cased address.
type Person = (Option<String>, String);

/// Who wrote; another header speaks where From does not.
fn sender(mail: &Message<'_>) -> Option<Person> {
    let returned = || Some((None, mail.return_address()?.to_lowercase())).filter(|(_, address)| is_address(address));
    [mail.from(), mail.sender(), mail.reply_to()].into_iter().flat_map(people).next().or_else(returned)
}

/// Those of a header whose address is one.
fn people<'mail>(list: Option<&'mail Address<'_>>) -> impl Iterator<Item = Person> + 'mail {
    list.into_iter().flat_map(|list| list.iter()).filter_map(|entry| {
        let address = entry.address()?.trim().to_lowercase();
        let name = entry.name().map(|name| clip(name.trim(), 200)).filter(|name| !name.is_empty());
        is_address(&address).then_some((name, address))
    })
}

fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@').filter(|(name, domain)| !name.is_empty() && !domain.is_empty());
    parts.is_some() && text.len() <= 320 && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
}

fn addresses(list: Option<&Address<'_>>) -> Vec<String> {
    list.into_iter()
        .flat_map(|list| list.iter())
        .filter_map(|entry| entry.address())
        .map(|address| address.trim().to_owned())
        .take(1_000)
        .collect()
}

fn ids(value: &HeaderValue<'_>) -> Vec<String> {
    let ids: Vec<&str> = match value {
        HeaderValue::Text(text) => text.split_whitespace().collect(),
        HeaderValue::TextList(list) => list.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    };
    ids.into_iter().map(|id| id.trim_matches(['<', '>']).to_owned()).filter(|id| !id.is_empty()).collect()
}

/// Names in lower case, values in one line.
fn raw_headers(mail: &Message<'_>) -> Vec<(String, String)> {
    let unfold = |value: &str| value.split_whitespace().collect::<Vec<_>>().join(" ");
    mail.headers_raw().map(|(name, value)| (name.to_ascii_lowercase(), unfold(value))).collect()
}

fn header(headers: &[(String, String)], name: &str) -> Option<String> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| clip(value, 2_000))
}

/// The same for the same mail, wherever it is read again.
fn hash(raw: &[u8], headers: &[(String, String)]) -> String {
    let mut digest = Sha256::new();
    for name in [HeaderName::Date, HeaderName::From, HeaderName::Subject] {
        digest.update(header(headers, &name.as_str().to_ascii_lowercase()).unwrap_or_default());
        digest.update([0]);
    }
    let body = raw.windows(2).position(|pair| pair == b"\n\n" || pair == b"\n\r").unwrap_or(0);
    digest.update(raw.get(body..).unwrap_or_default());
    format!("{HASH_PREFIX}{}", hex::encode(digest.finalize()))
}

/// At most `limit` characters, without the one that databases refuse.
fn clip(text: &str, limit: usize) -> String {
    text.chars().filter(|letter| *letter != '\0').take(limit).collect()
}

fn without_nul(text: &str) -> String {
    text.replace('\0', "")
}

/// An object whose texts hold no NUL.
fn object(value: Value) -> Map<String, Value> {
    fn strip(value: &mut Value) {
        match value {
            Value::String(text) if text.contains('\0') => *text = without_nul(text),
            Value::Array(list) => list.iter_mut().for_each(strip),
            Value::Object(map) => map.values_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = value;
    strip(&mut value);
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests;
