//! The website channel: the visitor's browser talks to the daemon itself.
//!
//! Messages come in through the widget's API, answers leave as events to the visitor's socket and wait for those who are away (see
//! [`super::direct`]). The settings are what the widget's page is told when it loads.
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::LazyLock;

/// Names of the contract (section 2, Inboxes).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Where the widget is; for people to read, nothing is enforced by it.
    pub website_url: String,
    /// The colour of bubble, header and buttons: `#rrggbb` or `#rgb`.
    pub widget_color: String,
    /// The heading that visitors see first.
    pub welcome_title: String,
    /// What stands below it.
    pub welcome_tagline: String,
    /// How soon visitors may expect an answer.
    pub reply_time: ReplyTime,
    /// Visitors are asked for something before they write.
    pub pre_chat_form_enabled: bool,
    /// What they are asked for.
    #[serde(deserialize_with = "object")]
    pub pre_chat_form_options: PreChatForm,
    /// Answers that a visitor has not seen are sent by mail.
    pub continuity_via_email: bool,
    /// Visitors whom the site names must be proven with `identifier_hash`.
    pub hmac_mandatory: bool,
    /// Which sites may show the widget, divided by commas, such as `shop.example, *.shop.example`; all when empty.
    pub allowed_domains: String,
    /// What visitors may do.
    pub selected_feature_flags: Vec<Feature>,
    /// The language of the widget where neither the site nor the browser names one; the account's when empty.
    pub locale: String,
}

/// How soon an answer may be expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyTime {
    /// In a few minutes.
    #[default]
    InAFewMinutes,
    /// In a few hours.
    InAFewHours,
    /// In a day.
    InADay,
}

/// Something that visitors may do, or see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Send files.
    Attachments,
    /// Choose emoji.
    EmojiPicker,
    /// End their conversation.
    EndConversation,
    /// See the picture of the inbox where a bot or a rule writes.
    UseInboxAvatarForBot,
    /// Open the widget in the web view of a mobile app.
    AllowMobileWebview,
}

/// What visitors are asked for before they write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PreChatForm {
    /// What stands above the fields.
    pub pre_chat_message: Option<String>,
    /// The fields, in their order.
    #[serde(deserialize_with = "objects")]
    pub pre_chat_fields: Vec<PreChatField>,
}

/// A field of the form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PreChatField {
    /// `standard` for `emailAddress`, `fullName`, `phoneNumber`; `contact_attribute` or `conversation_attribute` for others.
    pub field_type: String,
    /// What stands above it.
    pub label: Option<String>,
    /// What stands in it while it is empty.
    pub placeholder: Option<String>,
    /// The standard field, or the key of the custom attribute.
    pub name: String,
    /// `text`, `email`, `number`, `date`, `link`, `checkbox`, `list`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether it is shown.
    pub enabled: bool,
    /// Whether it must be filled in.
    pub required: bool,
    /// For `list`: what can be chosen.
    #[serde(deserialize_with = "list")]
    pub values: Vec<String>,
    /// For `text`: what it must match.
    pub regex_pattern: Option<String>,
    /// What is said of a text that does not.
    pub regex_cue: Option<String>,
}

/// A list is no object, though serde would read one into a struct.
fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let fields = serde_json::Map::deserialize(deserializer)?;
    serde_json::from_value(fields.into()).map_err(D::Error::custom)
}

fn objects<'de, T: DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let list = Vec::<serde_json::Map<String, serde_json::Value>>::deserialize(deserializer)?;
    list.into_iter().map(|fields| serde_json::from_value(fields.into()).map_err(D::Error::custom)).collect()
}

fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            website_url: String::new(),
            widget_color: "#1f93ff".into(),
            welcome_title: String::new(),
            welcome_tagline: String::new(),
            reply_time: ReplyTime::default(),
            pre_chat_form_enabled: false,
            pre_chat_form_options: PreChatForm::default(),
            continuity_via_email: true,
            hmac_mandatory: false,
            allowed_domains: String::new(),
            selected_feature_flags: vec![Feature::Attachments, Feature::EmojiPicker, Feature::EndConversation],
            locale: String::new(),
        }
    }
}

impl Default for PreChatForm {
    fn default() -> Self {
        let field = |name: &str, kind: &str, label: &str, placeholder: &str| PreChatField {
            field_type: "standard".into(),
            label: Some(label.into()),
            placeholder: Some(placeholder.into()),
            name: name.into(),
            kind: kind.into(),
            ..PreChatField::default()
        };
        let fields = [
            PreChatField { required: true, ..field("emailAddress", "email", "Email address", "Please enter your email address") },
            field("fullName", "text", "Full name", "Please enter your full name"),
            field("phoneNumber", "text", "Phone number", "Please enter your phone number"),
        ];
        PreChatForm { pre_chat_message: Some("Share your queries or comments here.".into()), pre_chat_fields: fields.into() }
    }
}

/// The longest heading, tagline, label.
const TEXT_LIMIT: usize = 1000;
/// The most fields of a form, choices of a list, and allowed domains.
const LIST_LIMIT: usize = 100;

impl Settings {
    /// # Errors
    /// Names the field that is wrong.
    pub fn validate(&self) -> Result<(), String> {
        if self.website_url.chars().count() > 2048 {
            return Err("website_url is longer than 2048 characters".into());
        }
        if !self.website_url.is_empty() && !is_website(&self.website_url) {
            return Err("website_url must be the address of a website, such as https://shop.example".into());
        }
        if !is_color(&self.widget_color) {
            return Err("widget_color must be a colour such as #1f93ff".into());
        }
        for (name, text) in [("welcome_title", &self.welcome_title), ("welcome_tagline", &self.welcome_tagline)] {
            if text.chars().count() > TEXT_LIMIT {
                return Err(format!("{name} is longer than {TEXT_LIMIT} characters"));
            }
        }
        if !self.locale.is_empty() && !is_locale(&self.locale) {
            return Err("locale must be the code of a language, such as de or pt_BR".into());
        }
        self.pre_chat_form_options.validate().map_err(|words| format!("pre_chat_form_options: {words}"))?;
        self.frame_ancestors().map(drop)
    }

    /// Whether visitors may do something.
    pub fn offers(&self, feature: Feature) -> bool {
        self.selected_feature_flags.contains(&feature)
    }

    /// The allowed domains as sources of `frame-ancestors` (Content Security Policy Level 3, section 2.3.1, `host-source`), in
    /// ASCII; empty when every site may show the widget.
    ///
    /// # Errors
    /// Names the domain that is none.
    pub fn frame_ancestors(&self) -> Result<Vec<String>, String> {
        let domains: Vec<&str> = self.allowed_domains.split(',').map(str::trim).filter(|domain| !domain.is_empty()).collect();
        if domains.len() > LIST_LIMIT {
            return Err(format!("allowed_domains: at most {LIST_LIMIT} can be named"));
        }
        let wrong = |domain: &str| format!("allowed_domains: \"{domain}\" is no domain such as shop.example or *.shop.example");
        domains.into_iter().map(|domain| source(domain).ok_or_else(|| wrong(domain))).collect()
    }
}

impl PreChatForm {
    fn validate(&self) -> Result<(), String> {
        if self.pre_chat_message.as_ref().is_some_and(|text| text.chars().count() > TEXT_LIMIT) {
            return Err(format!("pre_chat_message is longer than {TEXT_LIMIT} characters"));
        }
        if self.pre_chat_fields.len() > LIST_LIMIT {
            return Err(format!("pre_chat_fields has more than {LIST_LIMIT} fields"));
        }
        for (position, field) in self.pre_chat_fields.iter().enumerate() {
            field.validate().map_err(|words| format!("pre_chat_fields[{position}]: {words}"))?;
        }
        Ok(())
    }
}

impl PreChatField {
    fn validate(&self) -> Result<(), String> {
        const KINDS: [&str; 7] = ["text", "email", "number", "date", "link", "checkbox", "list"];
        const FIELD_TYPES: [&str; 3] = ["standard", "contact_attribute", "conversation_attribute"];
        const STANDARD: [&str; 3] = ["emailAddress", "fullName", "phoneNumber"];
        if !FIELD_TYPES.contains(&self.field_type.as_str()) {
            return Err(format!("field_type is none of {}", FIELD_TYPES.join(", ")));
        }
        if self.field_type == "standard" && !STANDARD.contains(&self.name.as_str()) {
            return Err(format!("name of a standard field is none of {}", STANDARD.join(", ")));
        }
        if self.name.trim().is_empty() || !KINDS.contains(&self.kind.as_str()) {
            return Err(format!("name is missing, or type is none of {}", KINDS.join(", ")));
        }
        let texts =
            [Some(&self.name), self.label.as_ref(), self.placeholder.as_ref(), self.regex_pattern.as_ref(), self.regex_cue.as_ref()];
        let is_long = |text: &String| text.chars().count() > TEXT_LIMIT;
        if texts.into_iter().flatten().chain(&self.values).any(is_long) || self.values.len() > LIST_LIMIT {
            return Err(format!("a text is longer than {TEXT_LIMIT} characters, or there are more than {LIST_LIMIT} values"));
        }
        Ok(())
    }
}

/// With its scheme or without.
fn is_website(text: &str) -> bool {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    reqwest::Url::parse(&with_scheme).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host())
}

fn is_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or_default();
    [3, 6].contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_locale(text: &str) -> bool {
    text.len() <= 20
        && text.split(['-', '_']).all(|part| (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// `https://*.Bücher.example:8443/` → `https://*.xn--bcher-kva.example:8443`; none for what is no origin or would say more to a browser.
fn source(domain: &str) -> Option<String> {
    #[expect(clippy::expect_used, reason = "a constant, tested")]
    static SHAPE: LazyLock<regex::Regex> = LazyLock::new(|| {
        regex::Regex::new(r"^(?i)(https?://)?(\*\.)?([\p{L}\p{N}\p{M}-]+(?:\.[\p{L}\p{N}\p{M}-]+)*)(:(?:\d{1,5}|\*))?/?$")
            .expect("the pattern is right")
    });
    let parts = SHAPE.captures(domain)?;
    let part = |index: usize| parts.get(index).map_or("", |part| part.as_str());
    let url = reqwest::Url::parse(&format!("https://{}", part(3))).ok()?;
    Some(format!("{}{}{}{}", part(1).to_ascii_lowercase(), part(2), url.host_str()?, part(4)))
}

/// The website channel keeps no secrets in its settings: its tokens are the inbox's.
pub const SECRET_FIELDS: &[&str] = &[];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn domains_become_sources_of_the_policy_and_nothing_else_does() {
        for (given, expected) in [
            ("", Some("")),
            ("shop.example", Some("shop.example")),
            (" shop.example , *.shop.example,", Some("shop.example *.shop.example")),
            ("HTTPS://Shop.Example:8443/", Some("https://shop.example:8443")),
            ("http://localhost:*", Some("http://localhost:*")),
            ("bücher.example", Some("xn--bcher-kva.example")),
            ("*", None),
            ("shop.example; script-src *", None),
            ("shop.example\nx", None),
            ("'self'", None),
            ("https://shop.example/path", None),
            ("javascript://shop.example", None),
            ("a b", None),
            ("shop.example:999999", None),
        ] {
            let settings = Settings { allowed_domains: given.into(), ..Settings::default() };
            let sources = settings.frame_ancestors().map(|sources| sources.join(" "));
            assert_eq!(sources.as_deref().ok(), expected, "{given:?}");
            assert_eq!(settings.validate().is_ok(), expected.is_some(), "{given:?}");
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let field = |field: PreChatField| PreChatForm { pre_chat_fields: vec![field], ..PreChatForm::default() };
        let good =
            PreChatField { field_type: "contact_attribute".into(), name: "plan".into(), kind: "text".into(), ..PreChatField::default() };
        let standard = PreChatField { field_type: "standard".into(), ..good.clone() };
        for (settings, words) in [
            (Settings::default(), ""),
            (Settings { widget_color: "#fff".into(), locale: "pt_BR".into(), ..Settings::default() }, ""),
            (Settings { pre_chat_form_options: field(good.clone()), ..Settings::default() }, ""),
            (Settings { website_url: "shop.example/start".into(), ..Settings::default() }, ""),
            (Settings { website_url: "javascript:alert(1)".into(), ..Settings::default() }, "website_url"),
            (Settings { website_url: "file:///etc/passwd".into(), ..Settings::default() }, "website_url"),
            (Settings { widget_color: "red".into(), ..Settings::default() }, "widget_color"),
            (Settings { widget_color: "#12345g".into(), ..Settings::default() }, "widget_color"),
            (Settings { welcome_title: "x".repeat(1001), ..Settings::default() }, "welcome_title"),
            (Settings { locale: "\"><".into(), ..Settings::default() }, "locale"),
            (Settings { pre_chat_form_options: field(standard), ..Settings::default() }, "pre_chat_form_options: pre_chat_fields[0]: name"),
            (
                Settings { pre_chat_form_options: field(PreChatField { kind: "color".into(), ..good }), ..Settings::default() },
                "pre_chat_form_options: pre_chat_fields[0]: name is missing, or type",
            ),
        ] {
            let said = settings.validate().err().unwrap_or_default();
            assert!(said.starts_with(words) && said.is_empty() == words.is_empty(), "{said}");
        }
    }
}
