//! The WhatsApp channel: Meta's Cloud API. Meta pushes what happens to our webhook; what we send goes to its Graph API.
//!
//! | file | does |
//! | --- | --- |
//! | `webhook.rs`, `inbound.rs` | webhooks to [`Update`](crate::message::Update)s |
//! | `compose.rs`, `template.rs`, `text.rs` | [`Outbound`] to requests |
//! | `graph.rs`, `errors.rs` | the requests, and what their failures mean |
//! | `progress.rs` | what is in flight, so that another try repeats nothing |
//!
//! A message of ours may become several of WhatsApp's. It is known by the id of the last one; a status settles it only when it is
//! of the last one, or a failure.
mod compose;
mod errors;
mod graph;
mod inbound;
mod json;
mod progress;
mod template;
mod text;
mod webhook;

#[cfg(test)]
mod samples_tests;
#[cfg(test)]
mod talk_tests;

pub use webhook::addressees;

use super::request::{Webhook, WebhookRequest};
use super::{Channel, ChannelError, Inlet, Media, Presence, Registration, SessionStatus, Templates, Tools};
use crate::message::{Capabilities, FirstContact, Outbound, ProviderId, RemoteFile};
use crate::secret::{self, Secret};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use compose::Part;
use errors::Meaning;
use graph::{Failure, Graph};
use progress::{Callback, Progress};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::time::Duration;

/// How often a running session asks whether the token still works.
const CHECK_AGAIN: Duration = Duration::from_secs(60 * 60);
/// How many templates a page has.
const TEMPLATES_PAGE: &str = "100";
/// What Meta tells of a number.
const NUMBER_FIELDS: &str = "display_phone_number,verified_name,quality_rating,code_verification_status";

/// Names of the contract (section 2, Inboxes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// The business's number, E.164 with its plus sign; Meta tells it where it is not given.
    pub phone_number: String,
    /// `whatsapp_cloud`.
    pub provider: String,
    /// What Meta gave.
    pub provider_config: ProviderConfig,
}

impl Default for Settings {
    fn default() -> Self {
        let provider_config = ProviderConfig::default();
        Settings { phone_number: String::new(), provider: "whatsapp_cloud".into(), provider_config }
    }
}

/// What Meta gave, and what it is to be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, from = "GivenConfig")]
pub struct ProviderConfig {
    /// The access token.
    pub api_key: Secret,
    /// Meta's id of the number.
    pub phone_number_id: String,
    /// Meta's id of the WhatsApp business account that has the number.
    pub business_account_id: String,
    /// The secret of the app at Meta; with it, webhooks must be signed.
    pub app_secret: Secret,
    /// What Meta shows when it is told of our webhook; made here where none is given.
    pub webhook_verify_token: String,
}

/// As it is given: the verify token may be missing.
#[derive(Default, Deserialize)]
#[serde(default)]
struct GivenConfig {
    api_key: Secret,
    phone_number_id: String,
    business_account_id: String,
    app_secret: Secret,
    webhook_verify_token: String,
}

impl From<GivenConfig> for ProviderConfig {
    fn from(given: GivenConfig) -> Self {
        let GivenConfig { api_key, phone_number_id, business_account_id, app_secret, mut webhook_verify_token } = given;
        if webhook_verify_token.is_empty() {
            // Of the access token, so that settings in a file, which are read again and again, always make the same.
            webhook_verify_token = secret::hash(&format!("webhook verify token of {phone_number_id}: {}", api_key.expose()));
            webhook_verify_token.truncate(32);
        }
        ProviderConfig { api_key, phone_number_id, business_account_id, app_secret, webhook_verify_token }
    }
}

impl Settings {
    /// # Errors
    /// Names the field that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        let config = &self.provider_config;
        let is_id = |id: &str| !id.is_empty() && id.len() <= 40 && id.bytes().all(|byte| byte.is_ascii_digit());
        let is_token = |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic()) && token.len() <= 4096;
        let number = self.phone_number.strip_prefix('+').unwrap_or_default();
        let is_number = self.phone_number.is_empty() || (is_id(number) && (7..=15).contains(&number.len()));
        let checks = [
            (self.provider == "whatsapp_cloud", "provider must be whatsapp_cloud"),
            (is_number, "phone_number must be a number with its country code, such as +4930123456"),
            (!config.api_key.is_empty(), "provider_config.api_key must be the access token of the app at Meta"),
            (is_token(config.api_key.expose()), "provider_config.api_key must not contain spaces or line ends"),
            (is_id(&config.phone_number_id), "provider_config.phone_number_id must be Meta's id of the number: digits"),
            (is_id(&config.business_account_id), "provider_config.business_account_id must be Meta's id of the account: digits"),
            (is_token(config.app_secret.expose()), "provider_config.app_secret must not contain spaces or line ends"),
            (is_token(&config.webhook_verify_token), "provider_config.webhook_verify_token must not contain spaces or line ends"),
        ];
        match checks.into_iter().find(|(is_fine, _)| !is_fine) {
            Some((_, fault)) => Err(fault.into()),
            None => Ok(()),
        }
    }

    /// What no two inboxes may share: Meta's id of the number.
    pub fn unique_key(&self) -> &str {
        &self.provider_config.phone_number_id
    }

    /// What stands in the address of our webhook: the number, or Meta's id of it while the number is not known.
    pub fn webhook_address(&self) -> &str {
        if self.phone_number.is_empty() { &self.provider_config.phone_number_id } else { &self.phone_number }
    }

    /// Whether one of these ids is that of the number, or of its account.
    pub fn is_addressed(&self, addressees: &[String]) -> bool {
        let config = &self.provider_config;
        addressees.iter().any(|id| *id == config.phone_number_id || *id == config.business_account_id)
    }
}

/// Sealed at rest, blanked on the wire; a dot leads into an object.
pub const SECRET_FIELDS: &[&str] = &["provider_config.api_key", "provider_config.app_secret"];

/// What WhatsApp can do.
pub fn capabilities() -> Capabilities {
    Capabilities {
        attachment_limit: compose::DOCUMENT_LIMIT,
        parallel_sends: 8,
        reply_window: Some(chrono::Duration::hours(24)),
        first_contact: FirstContact::Template,
        aliases: true,
        ..Capabilities::PLAIN
    }
}

/// The WhatsApp channel.
pub struct WhatsappChannel {
    settings: Settings,
    graph: Graph,
    progress: Progress,
}

impl WhatsappChannel {
    /// From its settings.
    pub fn new(settings: Settings, tools: &Tools) -> Self {
        let graph = Graph::new(&tools.providers, settings.provider_config.api_key.clone());
        WhatsappChannel { settings, graph, progress: Progress::default() }
    }

    fn path(&self, below: &str) -> String {
        format!("{}/{below}", self.settings.provider_config.phone_number_id)
    }

    fn account_path(&self, below: &str) -> String {
        format!("{}/{below}", self.settings.provider_config.business_account_id)
    }

    /// Sends the parts that Meta does not have yet; the id of the last one.
    async fn send_parts(&self, message: &Outbound, parts: &[Part]) -> Result<ProviderId, ChannelError> {
        for (number, part) in parts.iter().enumerate().skip(message.sent.count()) {
            let provider_id = match self.progress.sent(message.message_id, number) {
                Some(provider_id) => provider_id,
                None => self.send_part(message, part, number, parts.len()).await?,
            };
            message.sent.add(vec![provider_id]);
        }
        Ok(ProviderId(message.sent.all().into_iter().flatten().next_back().unwrap_or_default()))
    }

    async fn send_part(&self, message: &Outbound, part: &Part, number: usize, parts: usize) -> Result<String, ChannelError> {
        let body = match self.upload(message, part, number).await {
            Ok(Some(media_id)) => part.with_media(&media_id),
            Ok(None) => part.body.clone(),
            Err(failure) => return Err(self.send_error(failure, message, number)),
        };
        let request = compose::request(message, body, number, parts).map_err(ChannelError::Rejected)?;
        let answer = self.graph.post(&self.path("messages"), &request).await;
        let taken = answer.and_then(|answer| {
            let named = json::id(&answer, "/messages/0/id");
            named.ok_or_else(|| Failure::Unknown("the answer names no message".into()))
        });
        let provider_id = taken.map_err(|failure| self.send_error(failure, message, number))?;
        self.progress.note(Callback::new(message.message_id, number, parts), &provider_id);
        self.progress.pair_is_free(&message.source_id);
        Ok(provider_id)
    }

    /// The id of the part's file at Meta, where it has one.
    async fn upload(&self, message: &Outbound, part: &Part, number: usize) -> Result<Option<String>, Failure> {
        let Some(file) = &part.file else { return Ok(None) };
        if let Some(media_id) = self.progress.uploaded(message.message_id, number) {
            return Ok(Some(media_id));
        }
        let missing = || Failure::Unsent("the message has lost its file".into());
        let attachment = message.attachments.get(file.attachment).ok_or_else(missing)?;
        let name = json::one_line(&attachment.file_name, 240);
        let media_id = self.graph.upload(&self.path("media"), &name, &file.content_type, attachment.bytes.clone()).await.map_err(
            // An upload that is done twice is no message that is sent twice.
            |failure| match failure {
                Failure::Unknown(cause) => Failure::Unsent(cause),
                other => other,
            },
        )?;
        self.progress.note_upload(message.message_id, number, &media_id);
        Ok(Some(media_id))
    }

    fn send_error(&self, failure: Failure, message: &Outbound, number: usize) -> ChannelError {
        let Failure::Refused(mut error) = failure else { return failure.into_send_error() };
        if error.is_missing() {
            let words = error.in_words();
            return ChannelError::NeedsAttention(format!(
                "Meta does not know provider_config.phone_number_id, or not for this token: {words}"
            ));
        }
        match error.meaning() {
            Meaning::PairThrottled => error.retry_after = error.retry_after.max(Some(self.progress.pair_wait(&message.source_id))),
            Meaning::Media if self.progress.note_media_failure(message.message_id, number) == 1 => {
                return ChannelError::temporary(format!("sending a file: {}", error.in_words()));
            }
            _ => {}
        }
        Failure::Refused(error).into_send_error()
    }

    /// Asks Meta for the number.
    async fn number(&self) -> Result<Value, ChannelError> {
        let id = &self.settings.provider_config.phone_number_id;
        let answer = self.graph.get(id, &[("fields", NUMBER_FIELDS)]).await;
        answer.map_err(|failure| of_field(failure, "asking for the number", "provider_config.phone_number_id"))
    }

    async fn page_of_templates(&self, limit: &str, after: &str) -> Result<Value, Failure> {
        let fields = "id,name,language,status,category,components,rejected_reason,quality_score,parameter_format";
        let mut query = vec![("fields", fields), ("limit", limit)];
        if !after.is_empty() {
            query.push(("after", after));
        }
        self.graph.get(&self.account_path("message_templates"), &query).await
    }
}

/// What Meta refuses, with the name of the field that it is about.
fn of_field(failure: Failure, attempted: &str, field: &str) -> ChannelError {
    match failure.into_channel_error(attempted) {
        ChannelError::Rejected(words) => ChannelError::Rejected(format!("{field} is not accepted: {words}")),
        other => other,
    }
}

#[async_trait]
impl Channel for WhatsappChannel {
    async fn run(&self, inlet: &Inlet) -> Result<(), ChannelError> {
        // What is wrong with the settings stays wrong.
        let attention = |error| match error {
            ChannelError::Rejected(words) => ChannelError::NeedsAttention(words),
            other => other,
        };
        self.check().await.map_err(attention)?;
        // Without it Meta sends nothing of this account; done twice it changes nothing.
        let subscribed = self.graph.post(&self.account_path("subscribed_apps"), &json!({})).await;
        subscribed.map_err(|failure| attention(of_field(failure, "subscribing to the account", "provider_config.business_account_id")))?;
        inlet.status(SessionStatus::Connected);
        loop {
            tokio::time::sleep(CHECK_AGAIN).await;
            match self.number().await.map_err(attention) {
                // What cannot be asked now may still be sent.
                Ok(_) | Err(ChannelError::Temporary { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn send(&self, message: &Outbound) -> Result<ProviderId, ChannelError> {
        let parts = compose::parts(message).map_err(ChannelError::Rejected)?;
        self.progress.begin(message.message_id, parts.len());
        let sent = self.send_parts(message, &parts).await;
        if matches!(sent, Ok(_) | Err(ChannelError::Rejected(_))) {
            self.progress.forget(message.message_id);
        }
        sent
    }

    fn capabilities(&self) -> Capabilities {
        capabilities()
    }

    fn webhook(&self, request: &WebhookRequest) -> Result<Webhook, ChannelError> {
        let read = webhook::read(&self.settings, request)?;
        for (callback, provider_id) in read.parts {
            self.progress.note(callback, &provider_id);
        }
        Ok(read.webhook)
    }

    fn media(&self) -> Option<&dyn Media> {
        Some(self)
    }

    fn templates(&self) -> Option<&dyn Templates> {
        Some(self)
    }

    fn presence(&self) -> Option<&dyn Presence> {
        Some(self)
    }

    fn registration(&self) -> Option<&dyn Registration> {
        Some(self)
    }
}

#[async_trait]
impl Media for WhatsappChannel {
    async fn fetch(&self, file: &RemoteFile, limit: u64) -> Result<Bytes, ChannelError> {
        let too_large = || ChannelError::Rejected(format!("larger than {} MB", limit >> 20));
        let id = json::id(&file.reference, "/id").filter(|id| id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let id = id.ok_or_else(|| ChannelError::Rejected("Meta gave no id of the file".into()))?;
        let number = self.settings.provider_config.phone_number_id.as_str();
        let mut renewed = false;
        loop {
            let described = self.graph.get(&id, &[("phone_number_id", number)]).await.map_err(|failure| match failure {
                Failure::Refused(error) if error.is_missing() => {
                    ChannelError::Rejected(format!("no longer available at Meta: {}", error.in_words()))
                }
                other => other.into_channel_error("asking for a file"),
            })?;
            if json::number(&described, "/file_size").is_some_and(|size| size > bytes_as_number(limit)) {
                return Err(too_large());
            }
            let link =
                json::text(&described, "/url").ok_or_else(|| ChannelError::temporary("asking for a file: Meta names no link to it"))?;
            match self.graph.download(link, limit).await {
                Ok(Some(bytes)) => {
                    let claimed = json::text(&file.reference, "/sha256").or_else(|| json::text(&described, "/sha256"));
                    let is_whole = claimed.and_then(digest).is_none_or(|claimed| claimed == *Sha256::digest(&bytes));
                    return if is_whole {
                        Ok(bytes)
                    } else {
                        Err(ChannelError::temporary("fetching a file: it is not the one that was sent (sha256)"))
                    };
                }
                Ok(None) => return Err(too_large()),
                // A link lives for five minutes.
                Err(Failure::Refused(error)) if matches!(error.status, 400 | 401 | 403 | 404 | 410) && !renewed => renewed = true,
                Err(Failure::Refused(error)) => {
                    let cause = format!("fetching a file: {}", error.words);
                    return Err(ChannelError::throttled(cause, error.retry_after, super::Pause::Conversation));
                }
                Err(failure) => return Err(failure.into_channel_error("fetching a file")),
            }
        }
    }
}

/// 32 bytes in base64, or in hexadecimal as some versions write them; none if it is neither.
fn digest(text: &str) -> Option<[u8; 32]> {
    let of_hex = || hex::decode(text).ok()?.try_into().ok();
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).or_else(of_hex)
}

#[allow(clippy::cast_precision_loss, reason = "limits are far below 2^53")]
fn bytes_as_number(limit: u64) -> f64 {
    limit as f64
}

#[async_trait]
impl Templates for WhatsappChannel {
    async fn list(&self) -> Result<Vec<Value>, ChannelError> {
        let (mut templates, mut seen, mut after) = (Vec::new(), HashSet::new(), String::new());
        loop {
            let page = self.page_of_templates(TEMPLATES_PAGE, &after).await;
            let page = page.map_err(|failure| of_field(failure, "asking for templates", "provider_config.business_account_id"))?;
            templates.extend_from_slice(json::list(&page, "data"));
            // Without a next page there is still a cursor.
            let next = page.pointer("/paging/next").and_then(|_| json::text(&page, "/paging/cursors/after"));
            match next {
                Some(next) if seen.insert(next.to_owned()) => after = next.to_owned(),
                Some(_) => return Err(ChannelError::temporary("asking for templates: the pages repeat themselves")),
                None => return Ok(templates),
            }
        }
    }
}

#[async_trait]
impl Presence for WhatsappChannel {
    async fn typing(&self, _: &str, last_inbound: Option<&str>) -> Result<(), ChannelError> {
        // Shown below a message of the contact, which it marks as read.
        let Some(message_id) = last_inbound else { return Ok(()) };
        self.seen(json!({ "status": "read", "message_id": message_id, "typing_indicator": { "type": "text" } })).await
    }

    async fn read(&self, _: &str, provider_id: &str) -> Result<(), ChannelError> {
        self.seen(json!({ "status": "read", "message_id": provider_id })).await
    }
}

impl WhatsappChannel {
    async fn seen(&self, mut request: Value) -> Result<(), ChannelError> {
        if let Value::Object(request) = &mut request {
            request.insert("messaging_product".into(), "whatsapp".into());
        }
        let answer = self.graph.post(&self.path("messages"), &request).await;
        answer.map(|_| ()).map_err(|failure| failure.into_channel_error("telling that a message was read"))
    }
}

#[async_trait]
impl Registration for WhatsappChannel {
    async fn check(&self) -> Result<Map<String, Value>, ChannelError> {
        let number = self.number().await?;
        let templates = self.page_of_templates("1", "").await;
        templates.map_err(|failure| of_field(failure, "asking for templates", "provider_config.business_account_id"))?;
        let mut told = Map::new();
        for name in NUMBER_FIELDS.split(',') {
            if let Some(value) = number.get(name) {
                told.insert(name.into(), value.clone());
            }
        }
        let digits = json::text(&number, "/display_phone_number").map(inbound::digits).filter(|digits| !digits.is_empty());
        if let Some(digits) = digits {
            told.insert("phone_number".into(), format!("+{digits}").into());
        }
        Ok(told)
    }

    async fn unregister(&self) -> Result<(), ChannelError> {
        // The subscription is the account's: other numbers of it may still need it.
        let attempted = "ending the subscription";
        let numbers = self.graph.get(&self.account_path("phone_numbers"), &[("fields", "id")]).await;
        let numbers = numbers.map_err(|failure| failure.into_channel_error(attempted))?;
        let ours = &self.settings.provider_config.phone_number_id;
        let is_shared = json::list(&numbers, "data").iter().any(|number| json::id(number, "/id").as_ref() != Some(ours));
        if is_shared {
            return Ok(());
        }
        let ended = self.graph.delete(&self.account_path("subscribed_apps")).await;
        ended.map(|_| ()).map_err(|failure| failure.into_channel_error(attempted))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn given(change: Value) -> Result<Settings, String> {
        let mut given = json!({
            "type": "whatsapp", "phone_number": "+972123456789",
            "provider_config": { "api_key": "token", "phone_number_id": "1122334455667", "business_account_id": "1234567890987654321" },
        });
        for (pointer, value) in change.as_object().unwrap() {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            given.pointer_mut(parent).unwrap()[name] = value.clone();
        }
        let settings: Settings = serde_json::from_value(given).map_err(|error| error.to_string())?;
        settings.validate().map(|()| settings)
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(given(json!({})).unwrap().unique_key(), "1122334455667");
        assert!(given(json!({ "/phone_number": "" })).is_ok());
        for (field, value, fault) in [
            ("/provider", json!("default"), "provider must be whatsapp_cloud"),
            ("/phone_number", json!("0301234"), "phone_number must be a number with its country code"),
            ("/phone_number", json!("+49 30 1234"), "phone_number must be a number with its country code"),
            ("/provider_config/api_key", json!(""), "provider_config.api_key must be the access token"),
            ("/provider_config/api_key", json!("a\nb"), "provider_config.api_key must not contain"),
            ("/provider_config/phone_number_id", json!("../me"), "provider_config.phone_number_id must be"),
            ("/provider_config/business_account_id", json!(""), "provider_config.business_account_id must be"),
            ("/provider_config/app_secret", json!("a b"), "provider_config.app_secret must not contain"),
        ] {
            let words = given(json!({ (field): value })).unwrap_err();
            assert!(words.starts_with(fault), "{field} {value}: {words}");
        }
    }

    #[test]
    fn a_verify_token_is_made_where_none_is_given_and_is_always_the_same() {
        let made = given(json!({})).unwrap().provider_config.webhook_verify_token;
        assert_eq!((made.len(), &made), (32, &given(json!({})).unwrap().provider_config.webhook_verify_token));
        let other = given(json!({ "/provider_config/api_key": "other" })).unwrap().provider_config.webhook_verify_token;
        assert_ne!(made, other);
        let own = given(json!({ "/provider_config/webhook_verify_token": "mine" })).unwrap();
        assert_eq!(own.provider_config.webhook_verify_token, "mine");
        let stored = serde_json::to_value(&own).unwrap();
        assert_eq!(serde_json::from_value::<Settings>(stored).unwrap(), own);
    }

    #[test]
    fn digests_are_base64_or_hexadecimal() {
        let right: [u8; 32] = Sha256::digest(b"x").into();
        assert_eq!(digest(&STANDARD.encode(right)), Some(right));
        assert_eq!(digest(&hex::encode(right)), Some(right));
        assert_eq!(digest("4654+8g="), None);
    }
}
