//! Webhooks of Meta: the handshake, the signature, and what the changes say. Pure.
//!
//! One request may tell of several accounts and numbers; what is not ours is left out, and so are fields that are of no use here:
//! Meta would send what is refused again for days.
use super::errors::{GraphError, Meaning};
use super::inbound::{self, Setting};
use super::json::{id, list, one_line, text, time, without_nul};
use super::progress::Callback;
use super::{ProviderConfig, Settings};
use crate::channel::ChannelError;
use crate::channel::request::{Answer, Webhook, WebhookRequest, check_hmac_sha256, same_secret};
use crate::message::{Progress, Receipt, ReceiptOf, Update, Writer};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Meta's answer to what its errors cannot say: the contact has no WhatsApp, or refuses it.
const UNDELIVERABLE: i64 = 131026;

/// What a request says.
#[derive(Debug, Default)]
pub struct Read {
    /// For the caller.
    pub webhook: Webhook,
    /// Parts of messages that Meta has, with its ids of them.
    pub parts: Vec<(Callback, String)>,
}

/// Reads a request.
///
/// # Errors
/// `Rejected` where the verify token or the signature is wrong.
pub fn read(settings: &Settings, request: &WebhookRequest) -> Result<Read, ChannelError> {
    let config = &settings.provider_config;
    if request.method == "GET" {
        let webhook = Webhook { updates: Vec::new(), answer: handshake(config, request)? };
        return Ok(Read { webhook, parts: Vec::new() });
    }
    if !config.app_secret.is_empty() {
        check_hmac_sha256(config.app_secret.expose().as_bytes(), &request.body, request.header("x-hub-signature-256"))?;
    }
    let mut read = Reading { settings, updates: Vec::new(), parts: Vec::new() };
    match serde_json::from_slice::<Value>(&request.body) {
        Ok(mut body) if body.is_object() => {
            without_nul(&mut body);
            read.envelope(&body);
        }
        Ok(_) => read.unreadable(&request.body, "it is not a JSON object"),
        Err(_) => read.unreadable(&request.body, "it is not JSON"),
    }
    // Stable: what came at the same second stays as Meta wrote it.
    read.updates.sort_by_key(|(at, _)| at.unwrap_or(DateTime::<Utc>::MAX_UTC));
    let updates = read.updates.into_iter().map(|(_, update)| update).collect();
    Ok(Read { webhook: Webhook { updates, answer: Answer::default() }, parts: read.parts })
}

/// Meta's ids of the numbers that a request tells of; of the account where it tells of no number. Who is not named here has no
/// part in the request, whatever address it came to.
pub fn addressees(request: &WebhookRequest) -> Vec<String> {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let mut named = Vec::new();
    for entry in list(&body, "entry") {
        for change in list(entry, "changes") {
            let number = id(change, "/value/metadata/phone_number_id");
            let account = || id(entry, "/id").into_iter().chain(id(change, "/value/waba_info/waba_id"));
            named.extend(number.map_or_else(|| account().collect(), |number| vec![number]));
        }
    }
    named.sort_unstable();
    named.dedup();
    named
}

fn handshake(config: &ProviderConfig, request: &WebhookRequest) -> Result<Answer, ChannelError> {
    let rejected = |words: &str| ChannelError::Rejected(words.into());
    let token = request.parameter("hub.verify_token").unwrap_or_default();
    if request.parameter("hub.mode") != Some("subscribe") {
        return Err(rejected("hub.mode must be subscribe"));
    }
    if config.webhook_verify_token.is_empty() || !same_secret(&config.webhook_verify_token, token) {
        return Err(rejected("hub.verify_token is not the verify token of the inbox"));
    }
    let challenge = request.parameter("hub.challenge").ok_or_else(|| rejected("hub.challenge must be given"))?;
    Ok(Answer { status: 200, content_type: "text/plain", body: challenge.to_owned() })
}

struct Reading<'a> {
    settings: &'a Settings,
    updates: Vec<(Option<DateTime<Utc>>, Update)>,
    parts: Vec<(Callback, String)>,
}

impl Reading<'_> {
    fn envelope(&mut self, body: &Value) {
        if text(body, "/object") != Some("whatsapp_business_account") {
            return ignored("object");
        }
        for entry in list(body, "entry") {
            for change in list(entry, "changes") {
                let field = text(change, "/field").unwrap_or_default();
                match change.get("value").filter(|value| value.is_object()) {
                    Some(value) => self.change(entry, field, value),
                    None => ignored("no_value"),
                }
            }
        }
    }

    fn change(&mut self, entry: &Value, field: &str, value: &Value) {
        let config = &self.settings.provider_config;
        let is_our_number = id(value, "/metadata/phone_number_id").as_deref() == Some(config.phone_number_id.as_str());
        let account = Some(config.business_account_id.clone());
        let is_our_account = id(entry, "/id") == account || id(value, "/waba_info/waba_id") == account;
        match field {
            "messages" | "smb_message_echoes" if !is_our_number => ignored("foreign_number"),
            "messages" => {
                self.messages(list(value, "messages"), value, Writer::Contact);
                list(value, "statuses").iter().for_each(|status| self.status(status));
                list(value, "errors").iter().for_each(|error| self.account_error(error));
            }
            "smb_message_echoes" => self.messages(list(value, "message_echoes"), value, Writer::Business),
            "message_template_status_update"
            | "message_template_quality_update"
            | "message_template_components_update"
            | "template_category_update"
            | "account_update"
                if !is_our_account =>
            {
                ignored("foreign_account");
            }
            "account_update" => {
                if let Some(words) = account_update(value) {
                    self.updates.push((None, Update::NeedsAttention(words)));
                }
            }
            "message_template_status_update"
            | "message_template_quality_update"
            | "message_template_components_update"
            | "template_category_update" => {
                let is_known = self.updates.iter().any(|(_, update)| matches!(update, Update::TemplatesChanged));
                if !is_known {
                    self.updates.push((None, Update::TemplatesChanged));
                }
            }
            _ => ignored("field"),
        }
    }

    fn messages(&mut self, messages: &[Value], value: &Value, writer: Writer) {
        let own_number = inbound::digits(&id(value, "/metadata/display_phone_number").unwrap_or_default());
        let setting = Setting { contacts: list(value, "contacts"), writer, own_number: &own_number };
        for message in messages {
            match inbound::update(message, &setting) {
                Ok(update) => self.updates.push((time(message, "/timestamp"), update)),
                Err(reason) => self.unreadable(message.to_string().as_bytes(), reason),
            }
        }
    }

    fn status(&mut self, status: &Value) {
        let Some(provider_id) = id(status, "/id") else { return ignored("status") };
        let error = list(status, "errors").first().map(GraphError::from_object);
        let progress = match text(status, "/status").unwrap_or_default() {
            "sent" => Progress::Sent,
            "delivered" => Progress::Delivered,
            // A voice message was listened to.
            "read" | "played" => Progress::Read,
            "failed" => {
                let words = error.as_ref().map_or_else(|| "Meta gives no reason".to_owned(), GraphError::in_words);
                Progress::Failed(words)
            }
            _ => return ignored("status"),
        };
        let has_failed = matches!(progress, Progress::Failed(_));
        let callback = id(status, "/biz_opaque_callback_data").as_deref().and_then(Callback::parse);
        if let Some(callback) = callback.filter(|_| !has_failed) {
            self.parts.push((callback, provider_id.clone()));
        }
        // A part that fails fails the message; one that arrives does not yet deliver it.
        let message_id = callback.filter(|callback| callback.part.is_none() || has_failed).map(|callback| callback.message_id);
        let at = time(status, "/timestamp");
        let of = ReceiptOf::One { provider_id, message_id };
        self.updates.push((at, Update::Receipt(Receipt { of, progress, at: at.unwrap_or_else(Utc::now) })));
        let Some(error) = error.filter(|_| has_failed) else { return };
        if error.code == UNDELIVERABLE
            && let Some(source_id) = id(status, "/recipient_user_id").or_else(|| id(status, "/recipient_id"))
        {
            self.updates.push((at, Update::Reachable { source_id, reachable: false, reason: Some(error.in_words()) }));
        }
        if error.meaning() == Meaning::Attention {
            self.updates.push((at, Update::NeedsAttention(error.in_words())));
        }
    }

    /// An error of the number itself, not of a message.
    fn account_error(&mut self, error: &Value) {
        let error = GraphError::from_object(error);
        if error.meaning() == Meaning::Attention {
            self.updates.push((None, Update::NeedsAttention(error.in_words())));
        } else {
            tracing::warn!(code = error.code, words = error.words, "an error in a webhook of WhatsApp");
        }
    }

    fn unreadable(&mut self, raw: &[u8], reason: &str) {
        let provider_key = format!("sha256:{}", hex::encode(Sha256::digest(raw)));
        let raw = Bytes::copy_from_slice(raw);
        self.updates.push((None, Update::Unreadable { provider_key, reason: format!("a webhook of WhatsApp: {reason}"), raw }));
    }
}

/// Why an event of the account stops messages; none if it does not.
fn account_update(value: &Value) -> Option<String> {
    let event = text(value, "/event").unwrap_or_default();
    let restricts_answers = || {
        let restrictions = list(value, "restriction_info").iter().filter_map(|one| text(one, "/restriction_type"));
        restrictions.into_iter().any(|restriction| restriction.contains("CUSTOMER_INITIATED"))
    };
    let stops = match event {
        "ACCOUNT_DELETED" | "ACCOUNT_OFFBOARDED" | "PARTNER_REMOVED" => true,
        "DISABLED_UPDATE" => text(value, "/ban_info/waba_ban_state") != Some("REINSTATE"),
        // Whoever may not write first may still answer.
        "ACCOUNT_RESTRICTION" => restricts_answers(),
        _ => false,
    };
    if !stops {
        tracing::info!(event, "the WhatsApp business account has changed");
        return None;
    }
    let details = ["/ban_info/waba_ban_state", "/disconnection_info/reason", "/disconnection_info/initiated_by"];
    let details: Vec<&str> = details.iter().filter_map(|pointer| text(value, pointer)).collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    Some(one_line(&format!("Meta reports {event}{details} for the WhatsApp business account: look at it in the WhatsApp Manager"), 500))
}

/// Counts what is left out.
fn ignored(reason: &'static str) {
    metrics::counter!("konversio_whatsapp_ignored_total", "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests;
