//! Calls of the Bot API.
//!
//! Requests are the library's; of an answer only what is needed is read, so that a new form of something else in it does not make
//! a message that was sent look as if it was not.
use super::compose::{Choice, File, Kind, Part};
use super::content::largest;
use super::failure::{Failure, REVOKED, lost};
use super::update::{self, number, text};
use crate::channel::{ChannelError, Pause};
use crate::secret::Secret;
use bytes::{Bytes, BytesMut};
use reqwest::Url;
use rustls_platform_verifier::BuilderVerifierExt;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;
use teloxide_core::Bot;
use teloxide_core::payloads::{
    AnswerCallbackQuery, DeleteMessage, DeleteWebhook, EditMessageCaption, EditMessageText, GetFile, GetMe, GetUserProfilePhotos,
    GetWebhookInfo, SendAnimation, SendAudio, SendChatAction, SendContact, SendDocument, SendLocation, SendMediaGroup, SendMessage,
    SendPhoto, SendVenue, SendVideo, SendVoice, SetWebhook,
};
use teloxide_core::requests::{JsonRequest, MultipartPayload, MultipartRequest, Payload, Request};
use teloxide_core::types::{
    AllowedUpdate, CallbackQueryId, ChatAction, ChatId, FileId, InlineKeyboardButton, InlineKeyboardMarkup, InputFile, InputMedia,
    InputMediaAudio, InputMediaDocument, InputMediaPhoto, InputMediaVideo, MessageId, ParseMode, ReplyMarkup, ReplyParameters, UserId,
};
use tokio::sync::OnceCell;

/// How long Telegram may take to answer a call.
const PATIENCE: Duration = if cfg!(test) { Duration::from_secs(2) } else { Duration::from_secs(30) };
/// How long a file may take, in either direction.
const FILE_PATIENCE: Duration = Duration::from_secs(180);

/// One bot at Telegram. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    token: Secret,
    base: String,
}

/// What is read of a message that was sent.
#[derive(Deserialize)]
struct Sent {
    message_id: i64,
}

impl Api {
    /// The bot of a token, at the provider's address.
    pub fn new(token: &Secret, base: &str) -> Self {
        Api { token: token.clone(), base: base.trim_end_matches('/').to_owned() }
    }

    /// The bot itself.
    pub async fn me(&self) -> Result<Value, ChannelError> {
        self.call(GetMe::new()).await
    }

    /// Has updates pushed to an address, each with the secret.
    pub async fn set_webhook(&self, url: &str, secret: &str) -> Result<(), ChannelError> {
        let url = url.parse().map_err(|_| ChannelError::NeedsAttention("the daemon's public address is no URL: set public_url".into()))?;
        let mut payload = SetWebhook::new(url);
        payload.secret_token = Some(secret.to_owned());
        payload.drop_pending_updates = Some(false);
        let wanted = [
            AllowedUpdate::Message,
            AllowedUpdate::EditedMessage,
            AllowedUpdate::CallbackQuery,
            AllowedUpdate::MessageReaction,
            AllowedUpdate::MyChatMember,
        ];
        payload.allowed_updates = Some(wanted.into());
        match self.upload::<_, IgnoredAny>(payload, PATIENCE).await.map_err(|failure| failure.explained("SetWebhook")) {
            Ok(_) => Ok(()),
            // The address is one that Telegram does not call: only the operator can change that.
            Err(ChannelError::Rejected(reason)) => Err(ChannelError::NeedsAttention(reason)),
            Err(error) => Err(error),
        }
    }

    /// What Telegram knows of the webhook.
    pub async fn webhook_info(&self) -> Result<Value, ChannelError> {
        self.call(GetWebhookInfo::new()).await
    }

    /// Has nothing pushed any more; what waits stays.
    pub async fn delete_webhook(&self) -> Result<(), ChannelError> {
        let mut payload = DeleteWebhook::new();
        payload.drop_pending_updates = Some(false);
        self.call::<_, IgnoredAny>(payload).await.map(|_| ())
    }

    /// The updates from a number on; waits for one so long.
    pub async fn updates(&self, offset: Option<i64>, wait: Duration) -> Result<Vec<Value>, ChannelError> {
        let payload = GetUpdates { offset, timeout: wait.as_secs(), allowed_updates: update::WANTED };
        let request = async { JsonRequest::new(self.bot().await?, payload).send().await.map_err(Failure::Refused) };
        in_time(wait + PATIENCE, request).await.map_err(|failure| failure.explained(GetUpdates::NAME))
    }

    /// Lets a pressed button stop waiting.
    pub async fn answer_press(&self, id: &str) -> Result<(), ChannelError> {
        self.call::<_, IgnoredAny>(AnswerCallbackQuery::new(CallbackQueryId(id.to_owned()))).await.map(|_| ())
    }

    /// Shows for some seconds that somebody types.
    pub async fn typing(&self, chat: i64) -> Result<(), ChannelError> {
        self.call::<_, IgnoredAny>(SendChatAction::new(ChatId(chat), ChatAction::Typing)).await.map(|_| ())
    }

    /// Sends one part of a message and returns Telegram's ids of it.
    pub async fn send(&self, chat: i64, part: &Part<'_>, quotes: Option<i32>) -> Result<Vec<i64>, ChannelError> {
        let quotes = quotes.map(|id| ReplyParameters::new(MessageId(id)).allow_sending_without_reply());
        match part {
            Part::Text { html, choices } => {
                let mut payload = SendMessage::new(ChatId(chat), html.as_str());
                payload.parse_mode = Some(ParseMode::Html);
                payload.reply_parameters = quotes;
                payload.reply_markup = keyboard(choices);
                self.call::<_, Sent>(payload).await.map(|sent| vec![sent.message_id])
            }
            Part::Files { files, caption } => match self.send_files(chat, files, caption.as_deref(), quotes.clone()).await {
                // A picture of a size or a format that Telegram does not show is still a file.
                Err((failure, _)) if failure.is_about_the_picture() && files.iter().any(|file| file.kind == Kind::Photo) => {
                    let files: Vec<_> = files.iter().map(|file| File { kind: Kind::Document, ..*file }).collect();
                    self.send_files(chat, &files, caption.as_deref(), quotes).await
                }
                other => other,
            }
            .map_err(|(failure, method)| failure.explained(method)),
            Part::Place(place) if place.title.is_empty() => {
                let mut payload = SendLocation::new(ChatId(chat), place.latitude, place.longitude);
                payload.reply_parameters = quotes;
                self.call::<_, Sent>(payload).await.map(|sent| vec![sent.message_id])
            }
            Part::Place(place) => {
                let (title, address) = place.title.split_once(", ").unwrap_or((&place.title, &place.title));
                let mut payload = SendVenue::new(ChatId(chat), place.latitude, place.longitude, title, address);
                payload.reply_parameters = quotes;
                self.call::<_, Sent>(payload).await.map(|sent| vec![sent.message_id])
            }
            Part::Card(card) => {
                let number = card.phone_number.as_deref().unwrap_or_default();
                let name = [card.first_name.as_str(), number].into_iter().find(|name| !name.is_empty()).unwrap_or_default();
                let mut payload = SendContact::new(ChatId(chat), number, name);
                payload.last_name = Some(card.last_name.clone()).filter(|name| !name.is_empty());
                payload.reply_parameters = quotes;
                self.call::<_, Sent>(payload).await.map(|sent| vec![sent.message_id])
            }
        }
    }

    /// Puts another text in the place of a message's, or below its picture.
    pub async fn edit(&self, chat: i64, message: i32, html: &str) -> Result<(), ChannelError> {
        let mut payload = EditMessageText::new(ChatId(chat), MessageId(message), html);
        payload.parse_mode = Some(ParseMode::Html);
        let edited = match self.ask::<_, IgnoredAny>(payload).await {
            Err(failure) if failure.says("there is no text in the message to edit") => {
                let mut payload = EditMessageCaption::new(ChatId(chat), MessageId(message));
                payload.caption = Some(html.to_owned());
                payload.parse_mode = Some(ParseMode::Html);
                self.ask::<_, IgnoredAny>(payload).await
            }
            other => other,
        };
        match edited {
            Err(failure) if !failure.says("message is not modified") => Err(failure.explained(EditMessageText::NAME)),
            _ => Ok(()),
        }
    }

    /// Takes a message back.
    pub async fn delete(&self, chat: i64, message: i32) -> Result<(), ChannelError> {
        match self.ask::<_, IgnoredAny>(DeleteMessage::new(ChatId(chat), MessageId(message))).await {
            Err(failure) if !failure.says("message to delete not found") => Err(failure.explained(DeleteMessage::NAME)),
            _ => Ok(()),
        }
    }

    /// The file of a person's picture.
    pub async fn picture(&self, user: i64) -> Result<Option<String>, ChannelError> {
        let Ok(user) = u64::try_from(user) else { return Ok(None) };
        let mut payload = GetUserProfilePhotos::new(UserId(user));
        payload.limit = Some(1);
        let photos: Value = self.call(payload).await?;
        let sizes = photos.get("photos").and_then(|photos| photos.get(0));
        Ok(sizes.and_then(largest).and_then(|size| text(size, "file_id")).map(str::to_owned))
    }

    /// A file that Telegram keeps.
    pub async fn file(&self, id: &str, limit: u64) -> Result<Bytes, ChannelError> {
        let too_large = || ChannelError::Rejected(format!("the file is larger than {} MB", limit >> 20));
        let file: Value = match self.ask(GetFile::new(FileId(id.to_owned()))).await {
            Err(failure) if failure.says("file is too big") => {
                return Err(ChannelError::Rejected("the file is larger than 20 MB: Telegram does not give it to bots".into()));
            }
            Err(failure) if failure.says("temporarily unavailable") => {
                return Err(ChannelError::temporary("Telegram does not have the file at the moment"));
            }
            other => other.map_err(|failure| failure.explained(GetFile::NAME))?,
        };
        if number(&file, "file_size").and_then(|size| u64::try_from(size).ok()).is_some_and(|size| size > limit) {
            return Err(too_large());
        }
        let path = text(&file, "file_path").ok_or_else(|| ChannelError::Rejected("Telegram does not say where the file is".into()))?;
        let bot = self.bot().await.map_err(|failure| failure.explained("file"))?;
        let mut url = bot.api_url();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push("file").push(&format!("bot{}", self.token.expose())).extend(path.split('/'));
        }
        let fetched = async {
            let mut answer = bot.client().get(url).send().await.map_err(|error| lost(&error))?;
            match answer.status().as_u16() {
                200 => {}
                401 => return Err(ChannelError::NeedsAttention(REVOKED.into())),
                429 => return Err(ChannelError::throttled("Telegram wants fewer files fetched", None, Pause::Inbox)),
                status @ 400..500 => return Err(ChannelError::Rejected(format!("Telegram does not give the file: status {status}"))),
                status => return Err(ChannelError::temporary(format!("fetching a file from Telegram: status {status}"))),
            }
            let mut bytes = BytesMut::new();
            while let Some(chunk) = answer.chunk().await.map_err(|error| lost(&error))? {
                bytes.extend_from_slice(&chunk);
                if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
                    return Err(too_large());
                }
            }
            Ok(bytes.freeze())
        };
        let late = |_| ChannelError::temporary("fetching a file from Telegram took too long");
        tokio::time::timeout(FILE_PATIENCE, fetched).await.map_err(late)?
    }

    async fn send_files(
        &self,
        chat: i64,
        files: &[File<'_>],
        caption: Option<&str>,
        quotes: Option<ReplyParameters>,
    ) -> Result<Vec<i64>, (Failure, &'static str)> {
        let chat = ChatId(chat);
        let (caption, parse_mode) = (caption.map(str::to_owned), caption.map(|_| ParseMode::Html));
        macro_rules! single {
            ($payload:ident, $file:expr) => {{
                let mut payload = $payload::new(chat, input($file));
                (payload.caption, payload.parse_mode, payload.reply_parameters) = (caption, parse_mode, quotes);
                let sent = self.upload::<_, Sent>(payload, FILE_PATIENCE).await;
                sent.map(|sent| vec![sent.message_id]).map_err(|failure| (failure, $payload::NAME))
            }};
        }
        if let [file] = files {
            return match file.kind {
                Kind::Photo => single!(SendPhoto, file),
                Kind::Animation => single!(SendAnimation, file),
                Kind::Video => single!(SendVideo, file),
                Kind::Audio => single!(SendAudio, file),
                Kind::Voice => single!(SendVoice, file),
                Kind::Document => single!(SendDocument, file),
            };
        }
        let mut caption = caption;
        let mut media = Vec::with_capacity(files.len());
        for file in files {
            macro_rules! item {
                ($variant:ident, $media:ident) => {{
                    let mut item = $media::new(input(file));
                    item.parse_mode = caption.as_ref().map(|_| ParseMode::Html);
                    item.caption = caption.take();
                    InputMedia::$variant(item)
                }};
            }
            media.push(match file.kind {
                Kind::Photo => item!(Photo, InputMediaPhoto),
                Kind::Video => item!(Video, InputMediaVideo),
                Kind::Audio => item!(Audio, InputMediaAudio),
                Kind::Animation | Kind::Voice | Kind::Document => item!(Document, InputMediaDocument),
            });
        }
        let mut payload = SendMediaGroup::new(chat, media);
        payload.reply_parameters = quotes;
        let sent = self.upload::<_, Vec<Sent>>(payload, FILE_PATIENCE).await;
        sent.map(|sent| sent.iter().map(|sent| sent.message_id).collect()).map_err(|failure| (failure, SendMediaGroup::NAME))
    }

    /// Makes a call and says what its failure means.
    async fn call<P, O>(&self, payload: P) -> Result<O, ChannelError>
    where
        P: Payload + Serialize + Send + 'static,
        O: DeserializeOwned + Send + 'static,
    {
        self.ask(payload).await.map_err(|failure| failure.explained(P::NAME))
    }

    async fn ask<P, O>(&self, payload: P) -> Result<O, Failure>
    where
        P: Payload + Serialize + Send + 'static,
        O: DeserializeOwned + Send + 'static,
    {
        let request = async { JsonRequest::new(self.bot().await?, Reading::new(payload)).send().await.map_err(Failure::Refused) };
        in_time(PATIENCE, request).await
    }

    async fn upload<P, O>(&self, payload: P, patience: Duration) -> Result<O, Failure>
    where
        P: MultipartPayload + Serialize + Send + 'static,
        O: DeserializeOwned + Send + 'static,
    {
        let request = async { MultipartRequest::new(self.bot().await?, Reading::new(payload)).send().await.map_err(Failure::Refused) };
        in_time(patience, request).await
    }

    async fn bot(&self) -> Result<Bot, Failure> {
        let unprepared = |reason: String| Failure::Unprepared(ChannelError::NeedsAttention(reason));
        let url = Url::parse(&self.base).ok().filter(|url| !url.cannot_be_a_base());
        let url = url.ok_or_else(|| unprepared("providers.telegram_url must be an address such as https://api.telegram.org".into()))?;
        let shared = CLIENT.get_or_try_init(client).await.map_err(Failure::Unprepared)?;
        Ok(Bot::with_client(self.token.expose(), shared.client().clone()).set_api_url(url))
    }
}

/// The library's request for updates knows their forms; this one takes any, and numbers of any size.
#[derive(Serialize)]
struct GetUpdates {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    timeout: u64,
    allowed_updates: [&'static str; 5],
}

impl Payload for GetUpdates {
    type Output = Vec<Value>;
    const NAME: &'static str = "GetUpdates";
}

/// A request of the library whose answer is read as something smaller than the library would.
#[derive(Serialize)]
#[serde(transparent)]
struct Reading<P, O> {
    payload: P,
    #[serde(skip)]
    output: PhantomData<fn() -> O>,
}

impl<P, O> Reading<P, O> {
    fn new(payload: P) -> Self {
        Reading { payload, output: PhantomData }
    }
}

impl<P: Payload, O> Payload for Reading<P, O> {
    type Output = O;
    const NAME: &'static str = P::NAME;
}

impl<P: MultipartPayload, O> MultipartPayload for Reading<P, O> {
    fn copy_files(&self, into: &mut dyn FnMut(InputFile)) {
        self.payload.copy_files(into);
    }

    fn move_files(&mut self, into: &mut dyn FnMut(InputFile)) {
        self.payload.move_files(into);
    }
}

/// Holds the HTTP client that all bots share, with its connections; the token in it is none.
static CLIENT: OnceCell<Bot> = OnceCell::const_new();

async fn client() -> Result<Bot, ChannelError> {
    let build = || {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|error| error.to_string())?
            .with_no_client_auth();
        let settings = teloxide_core::net::default_reqwest_settings().use_preconfigured_tls(tls).no_proxy().timeout(FILE_PATIENCE);
        settings.build().map_err(|error| error.to_string())
    };
    // Reads the system's certificates.
    let built = tokio::task::spawn_blocking(build).await.map_err(|error| error.to_string()).flatten();
    let failed = |error: String| ChannelError::temporary(format!("preparing the client for Telegram: {error}"));
    built.map(|client| Bot::with_client("", client)).map_err(failed)
}

async fn in_time<O>(patience: Duration, request: impl Future<Output = Result<O, Failure>>) -> Result<O, Failure> {
    tokio::time::timeout(patience, request).await.unwrap_or(Err(Failure::Late))
}

fn input(file: &File<'_>) -> InputFile {
    let name: String = file.attachment.file_name.chars().filter(|letter| !letter.is_control()).collect();
    InputFile::memory(file.attachment.bytes.clone()).file_name(if name.is_empty() { "file".to_owned() } else { name })
}

fn keyboard(choices: &[Choice]) -> Option<ReplyMarkup> {
    let rows = choices.iter().map(|choice| [InlineKeyboardButton::callback(choice.title.as_str(), choice.data.as_str())]);
    (!choices.is_empty()).then(|| ReplyMarkup::InlineKeyboard(InlineKeyboardMarkup::new(rows)))
}
