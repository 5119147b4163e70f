//! Turns an [`Outbound`] into a MIME mail. Pure: the same message gives the same Message-ID in every attempt.
//!
//! Nothing a person wrote can add a header: names and subjects lose their control characters here, addresses are parsed, and
//! the mail library encodes the rest.
use super::parse::{HASH_PREFIX, THREAD_ROOT_LENGTH};
use super::{Settings, html};
use crate::message::{Answered, Outbound};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::address::Envelope;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};
use lettre::{Address, Message};
use pulldown_cmark::{Event, Options, Parser};
use serde_json::{Map, Value};
use std::time::SystemTime;

/// The most ids that References carries; the first one always stays.
const REFERENCES_LIMIT: usize = 20;
/// The most bytes of an answered mail's Thread-Index that are kept: of 20 answers.
const THREAD_INDEX_LIMIT: usize = THREAD_ROOT_LENGTH + 20 * 5;
/// The most bytes that all files of a mail may have together.
const FILES_LIMIT: usize = 25 << 20;

/// A mail that can be handed to a server.
#[derive(Debug)]
pub struct Letter {
    /// Who sends and who receives it.
    pub envelope: Envelope,
    /// The mail.
    pub bytes: Vec<u8>,
    /// Its Message-ID without angle brackets.
    pub message_id: String,
}

/// Writes the mail. `relay_sender` is the sender that the daemon's relay insists on; the inbox's address then becomes Reply-To.
///
/// # Errors
/// Says why there can be no such mail.
pub fn compose(settings: &Settings, relay_sender: Option<&str>, message: &Outbound) -> Result<Letter, String> {
    let domain = domain(settings);
    let uuid = message.conversation.uuid;
    let message_id = format!("conversation/{uuid}/messages/{}@{domain}", message.message_id);
    let (in_reply_to, references) = ancestors(message, &domain);
    let brackets = |id: &String| format!("<{id}>");

    let mut builder = Message::builder()
        .from(sender(settings, relay_sender, message)?)
        .subject(subject(message))
        .date(SystemTime::from(message.created_at))
        .message_id(Some(brackets(&message_id)))
        .in_reply_to(brackets(&in_reply_to))
        .references(references.iter().map(brackets).collect::<Vec<_>>().join(" "));
    if relay_sender.is_some() {
        builder = builder.reply_to(Mailbox::new(None, address("the inbox's address", &settings.email)?));
    }
    if let Some(index) = thread_index(message) {
        builder = builder.raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Thread-Index"), index));
    }
    let (to, cc, bcc) = recipients(settings, message)?;
    builder = to.into_iter().fold(builder, |builder, mailbox| builder.to(mailbox));
    builder = cc.into_iter().fold(builder, |builder, mailbox| builder.cc(mailbox));
    builder = bcc.into_iter().fold(builder, |builder, mailbox| builder.bcc(mailbox));
    if message.automatic {
        // RFC 3834, and what Exchange and older programs look at.
        for (name, value) in [
            (HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-replied"),
            (HeaderName::new_from_ascii_str("X-Auto-Response-Suppress"), "All"),
            (HeaderName::new_from_ascii_str("Precedence"), "auto_reply"),
        ] {
            builder = builder.raw_header(HeaderValue::new(name, value.to_owned()));
        }
    }
    let body = body(message);
    let mail = if message.attachments.is_empty() { builder.multipart(body) } else { builder.multipart(with_files(body, message)?) };
    let mail = mail.map_err(|error| format!("this mail cannot be written: {error}"))?;
    Ok(Letter { envelope: mail.envelope().clone(), bytes: mail.formatted(), message_id })
}

/// The domain of Message-IDs and of EHLO.
pub fn domain(settings: &Settings) -> String {
    let named = Some(settings.smtp_domain.as_str()).filter(|domain| !domain.is_empty());
    let domain = named.or_else(|| settings.email.rsplit_once('@').map(|(_, domain)| domain)).unwrap_or("localhost");
    let domain: String = domain.chars().filter(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-')).collect();
    if domain.is_empty() { "localhost".into() } else { domain }
}

/// What the mail answers, and everything before it. A conversation's first mail refers to the conversation itself, so that all its
/// mails stay together in the customer's program.
fn ancestors(message: &Outbound, domain: &str) -> (String, Vec<String>) {
    let is_id = |id: &str| {
        !id.is_empty() && !id.starts_with(HASH_PREFIX) && id.chars().all(|letter| letter.is_ascii_graphic()) && !id.contains(['<', '>'])
    };
    let answered = message.answers.as_ref().filter(|answered| is_id(&answered.provider_id));
    let Some(answered) = answered else {
        let own = format!("conversation/{}@{domain}", message.conversation.uuid);
        return (own.clone(), vec![own]);
    };
    let listed = answered.content_attributes.get("email").and_then(|email| email.get("references")).and_then(Value::as_array);
    let mut references: Vec<String> = listed
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|id| is_id(id) && *id != answered.provider_id)
        .map(str::to_owned)
        .collect();
    if references.len() >= REFERENCES_LIMIT {
        let kept = references.len() + 2 - REFERENCES_LIMIT;
        references.drain(1..kept);
    }
    references.push(answered.provider_id.clone());
    (answered.provider_id.clone(), references)
}

/// Outlook and Exchange keep a thread together by it, where they lose the references: what the answered mail has, and five bytes
/// more for the answer.
fn thread_index(message: &Outbound) -> Option<String> {
    let answered = email(message.answers.as_ref()?)?.get("headers")?.get("thread-index")?.as_str()?;
    let mut index = STANDARD.decode(answered).ok().filter(|bytes| bytes.len() >= THREAD_ROOT_LENGTH)?;
    index.truncate(THREAD_INDEX_LIMIT);
    // Outlook puts a time there: only that it differs from the next answer's counts.
    index.extend(message.message_id.to_be_bytes().iter().skip(3));
    Some(STANDARD.encode(index))
}

/// The `email` among the attributes of an answered message.
fn email(answered: &Answered) -> Option<&Value> {
    answered.content_attributes.get("email")
}

/// An answer has `Re:` once, whatever was there before; a mail that opens a conversation has none.
fn subject(message: &Outbound) -> String {
    let known = message.conversation.additional_attributes.get("mail_subject").and_then(Value::as_str);
    let answered = message.answers.as_ref().and_then(|answered| answered.content_attributes.get("email")?.get("subject")?.as_str());
    let subject = one_line(known.or(answered).unwrap_or_default());
    let mut bare = subject.as_str();
    while let Some(rest) = ["re:", "aw:", "sv:", "antw:", "vs:"].iter().find_map(|prefix| without_prefix(bare, prefix)) {
        bare = rest.trim_start();
    }
    match (message.answers.is_some(), bare.is_empty()) {
        (true, false) => format!("Re: {bare}"),
        (false, false) => subject,
        (_, true) => format!("Conversation {}", message.conversation.display_id),
    }
}

fn without_prefix<'text>(text: &'text str, prefix: &str) -> Option<&'text str> {
    let start = text.get(..prefix.len())?;
    if start.eq_ignore_ascii_case(prefix) { text.get(prefix.len()..) } else { None }
}

fn sender(settings: &Settings, relay_sender: Option<&str>, message: &Outbound) -> Result<Mailbox, String> {
    let mut mailbox = match relay_sender {
        Some(sender) => sender.parse::<Mailbox>().map_err(|error| format!("the relay's sender {sender:?} is no address: {error}"))?,
        None => Mailbox::new(None, address("the inbox's address", &settings.email)?),
    };
    let name = message.sender_name.as_deref().map(one_line).filter(|name| !name.is_empty());
    mailbox.name = name.or(mailbox.name);
    Ok(mailbox)
}

type Recipients = (Vec<Mailbox>, Vec<Mailbox>, Vec<Mailbox>);

/// To, Cc and Bcc; nobody twice.
fn recipients(settings: &Settings, message: &Outbound) -> Result<Recipients, String> {
    let mut seen: Vec<String> = Vec::new();
    let mut parse = |list: Vec<String>, name: Option<String>, what: &str| -> Result<Vec<Mailbox>, String> {
        let mut mailboxes = Vec::new();
        for text in list {
            let address = address(what, &text)?;
            let key = address.to_string().to_lowercase();
            if !seen.contains(&key) {
                seen.push(key);
                mailboxes.push(Mailbox::new(name.clone(), address));
            }
        }
        Ok(mailboxes)
    };
    let attributes = &message.content_attributes;
    let chosen = list(attributes, "to_emails");
    let wanted = reply_to(settings, message);
    let to = if !chosen.is_empty() {
        parse(chosen, None, "to_emails")?
    } else if !wanted.is_empty() {
        parse(wanted, None, "the address to which the contact wants answers")?
    } else {
        let contact = message.contact_email.clone().filter(|email| !email.is_empty()).unwrap_or_else(|| message.source_id.clone());
        let name = Some(one_line(&message.contact_name)).filter(|name| !name.is_empty() && !name.contains('@'));
        parse(vec![contact], name, "the contact's address")?
    };
    let cc = parse(list(attributes, "cc_emails"), None, "cc_emails")?;
    let bcc = parse(list(attributes, "bcc_emails"), None, "bcc_emails")?;
    Ok((to, cc, bcc))
}

/// Where the contact's last mail wants its answers. Not where somebody else in the conversation wants them, not where an agent
/// has given the contact another address since, and not back into the inbox.
fn reply_to(settings: &Settings, message: &Outbound) -> Vec<String> {
    let Some(email) = message.answers.as_ref().and_then(email) else { return Vec::new() };
    let texts = |name: &str| email.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let is_of_contact = texts("from").any(|from| from.eq_ignore_ascii_case(&message.source_id));
    let is_corrected = message.contact_email.as_deref().is_some_and(|email| !email.eq_ignore_ascii_case(&message.source_id));
    if !is_of_contact || is_corrected {
        return Vec::new();
    }
    let usable = |text: &&str| text.parse::<Address>().is_ok() && !text.eq_ignore_ascii_case(&settings.email);
    texts("reply_to").filter(usable).map(str::to_owned).collect()
}

/// A list of texts, or one text with commas.
fn list(attributes: &Map<String, Value>, name: &str) -> Vec<String> {
    let texts: Vec<&str> = match attributes.get(name) {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    texts.into_iter().flat_map(|text| text.split(',')).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()
}

fn address(what: &str, text: &str) -> Result<Address, String> {
    text.trim().parse().map_err(|_| format!("{what} is not an e-mail address: {:?}", one_line(text)))
}

/// Plain text and HTML of the same.
fn body(message: &Outbound) -> MultiPart {
    let markdown = text(message);
    let written = message
        .content_attributes
        .get("email")
        .and_then(|email| email.get("html_content"))
        .and_then(|forms| ["reply", "full"].iter().find_map(|form| forms.get(form)?.as_str()).filter(|html| !html.trim().is_empty()));
    let html = html::clean_outbound(&written.map_or_else(|| render(&markdown), str::to_owned));
    MultiPart::alternative()
        .singlepart(SinglePart::plain(markdown))
        .singlepart(SinglePart::html(format!("<!DOCTYPE html><html><body>{html}</body></html>")))
}

/// The text, and the choices of a question below it.
fn text(message: &Outbound) -> String {
    let mut text = message.content.clone().unwrap_or_default();
    let items = message.content_attributes.get("items").and_then(Value::as_array).filter(|_| message.content_type == "input_select");
    for title in items.into_iter().flatten().filter_map(|item| item.get("title")?.as_str()) {
        text.push_str(if text.is_empty() || text.ends_with('\n') { "- " } else { "\n- " });
        text.push_str(&one_line(title));
    }
    text
}

/// Markdown as HTML; HTML in it is text, and lines break where the agent broke them.
fn render(markdown: &str) -> String {
    let events = Parser::new_ext(markdown, Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TABLES).map(|event| match event {
        Event::Html(html) | Event::InlineHtml(html) => Event::Text(html),
        Event::SoftBreak => Event::HardBreak,
        other => other,
    });
    let mut html = String::with_capacity(markdown.len() * 2);
    pulldown_cmark::html::push_html(&mut html, events);
    html
}

fn with_files(body: MultiPart, message: &Outbound) -> Result<MultiPart, String> {
    let size: usize = message.attachments.iter().map(|file| file.bytes.len()).sum();
    if size > FILES_LIMIT {
        return Err(format!("the files of this mail have {} MB together; at most {} are possible", size >> 20, FILES_LIMIT >> 20));
    }
    let mut files = message.attachments.iter().map(|file| {
        let binary = || ContentType::parse("application/octet-stream").unwrap_or(ContentType::TEXT_PLAIN);
        // A multipart or enclosed mail would have to be encoded in other ways than a file.
        let is_file = !file.content_type.starts_with("multipart/") && !file.content_type.starts_with("message/");
        let kind = ContentType::parse(&file.content_type).ok().filter(|_| is_file).unwrap_or_else(binary);
        // Left to itself the library sends ASCII as it is, and servers change or refuse its line ends.
        let encoded = Body::new_with_encoding(file.bytes.to_vec(), ContentTransferEncoding::Base64);
        let encoded = encoded.map_err(|_| "a file of this mail cannot be encoded".to_owned())?;
        Ok(Attachment::new(one_line(&file.file_name)).body(encoded, kind))
    });
    files.try_fold(MultiPart::mixed().multipart(body), |mail, file: Result<SinglePart, String>| Ok(mail.singlepart(file?)))
}

/// Without control characters, in one line, at most 500 characters.
fn one_line(text: &str) -> String {
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(500).collect()
}

#[cfg(test)]
mod tests;
