//! Messages that the channel brings: whose they are, to which conversation they belong, and their files.
use super::{Session, TRIES};
use crate::channel::{ChannelError, Intake, SessionStatus};
use crate::conversation::{Command, ConversationError, Incoming, SKIPPED_ATTACHMENTS, Target, Thing};
use crate::files::{FileError, Unkept};
use crate::message::{Inbound, InboundAttachment, InboundFile, Key, Reference, RemoteFile, Thread};
use crate::store::{NewFile, Recorded, StoreError};
use entity::message::MessageType;
use entity::{blob, contact, contact_inbox, conversation, inbox, message};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, DbErr, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// After this long no commit that was begun is still on its way.
const DOUBT: Duration = Duration::from_secs(60);
/// Begins what a button gives back whose own value was too long for the provider: the id of the message that has the button, and
/// its position there, follow.
const CHOICE: &str = "item:";

impl Session {
    /// Stores a message, once.
    pub(super) async fn receive(&self, mut inbound: Inbound) -> Result<(), ChannelError> {
        let failed = |error: DbErr| ChannelError::temporary(format!("looking up a message: {error}"));
        if self.is_known(&inbound).await.map_err(failed)? {
            tracing::debug!(inbox.id = self.inbox.row.id, "a message that is known already");
            return Ok(());
        }
        self.write_out_choices(&mut inbound.content_attributes).await.map_err(failed)?;
        if let Some(quoted) = inbound.quotes.take() {
            let known = self.message_of(&quoted).await.map_err(failed)?;
            if let Some(known) = known {
                inbound.content_attributes.insert("in_reply_to".into(), known.id.into());
            }
            inbound.content_attributes.insert("in_reply_to_external_id".into(), quoted.into());
        }
        let Carried { files, downloads, things } = carried(std::mem::take(&mut inbound.attachments));
        let mut content_attributes = std::mem::take(&mut inbound.content_attributes);
        let (files, unkept) = self.store_files(files, &mut content_attributes).await?;
        let is_automatic = content_attributes.get("email").and_then(|email| email.get("auto_reply")).is_some_and(|auto| auto == true);
        let waits = !downloads.is_empty();
        let incoming = Incoming {
            target: Target::Latest,
            writer: inbound.writer,
            written_at: inbound.sent_at,
            profile: inbound.sender.clone(),
            provider_id: inbound.provider_id.clone(),
            content: inbound.content.take(),
            content_type: inbound.content_type.to_owned(),
            content_attributes,
            conversation_attributes: std::mem::take(&mut inbound.conversation_attributes),
            files,
            downloads,
            things,
            is_automatic,
            ..Incoming::default()
        };
        match self.introduce(&inbound, &incoming).await {
            Ok(recorded) => {
                if let Some(conversation) = &recorded.conversation {
                    tracing::debug!(
                        inbox.id = conversation.inbox_id,
                        conversation.id = conversation.id,
                        repeated = recorded.repeated,
                        "message received"
                    );
                }
                if !recorded.repeated {
                    unkept.into_iter().for_each(Unkept::keep);
                    self.status(SessionStatus::Useful);
                    if waits {
                        self.wakes.downloads.ring(&self.inbox.row.id);
                    }
                    self.picture_later(&recorded);
                }
                match &inbound.provider_id {
                    Some(id) => self.catch_up(id).await,
                    None => Ok(()),
                }
            }
            Err(error) => {
                if error.leaves_doubt() {
                    unkept.into_iter().for_each(Unkept::keep);
                    self.remove_unless_stored(incoming.files);
                }
                Err(error.into())
            }
        }
    }

    /// Delivers a message to whoever its writer is known as; while a person is new, or shows another address, one message of that
    /// person at a time.
    async fn introduce(&self, inbound: &Inbound, incoming: &Incoming) -> Result<Recorded, ConversationError> {
        if !self.channel.capabilities().aliases {
            return self.hand_over(inbound, incoming, &inbound.source_id).await;
        }
        let names: Vec<&str> = std::iter::once(&inbound.source_id).chain(&inbound.aliases).map(String::as_str).collect();
        if let Some(source_id) = self.known_as(&names).await? {
            match self.hand_over(inbound, incoming, &source_id).await {
                Err(ConversationError::Renamed) => {}
                answer => return answer,
            }
        }
        let _turn = self.introductions.of_names(self.inbox.row.id, &names).await;
        let source_id = self.become_known(&names).await?.unwrap_or_else(|| inbound.source_id.clone());
        let recorded = self.hand_over(inbound, incoming, &source_id).await?;
        if let Some(identity) = &recorded.contact_inbox {
            self.note_names(identity, &names).await?;
        }
        Ok(recorded)
    }

    async fn hand_over(&self, inbound: &Inbound, incoming: &Incoming, source_id: &str) -> Result<Recorded, ConversationError> {
        let own = Key { inbox_id: self.inbox.row.id, source_id: source_id.to_owned() };
        let (mut key, target) = self.place(&own, &inbound.thread).await.map_err(StoreError::from)?;
        let mut incoming = Incoming { target, ..incoming.clone() };
        let mut tries = 0;
        loop {
            match self.tell(key.clone(), Command::Deliver(Box::new(incoming.clone()))).await {
                // Somebody else opened the contact at the same moment: it is there now.
                Err(ConversationError::Store(StoreError::Conflict(_) | StoreError::Taken(_))) if tries < TRIES => tries += 1,
                // The conversation that it answers was removed, or became another contact's, after it was found.
                Err(ConversationError::NotFound) if matches!(incoming.target, Target::Given(_)) => {
                    key = own.clone();
                    incoming.target = Target::New;
                }
                answer => return answer,
            }
        }
    }

    /// The message that the provider knows under an id: as a whole, or one of its parts.
    pub(super) async fn message_of(&self, provider_id: &str) -> Result<Option<message::Model>, DbErr> {
        let db = &self.db.read;
        let of_inbox = message::Entity::find().filter(message::Column::InboxId.eq(self.inbox.row.id));
        if let Some(found) = of_inbox.filter(message::Column::SourceId.eq(provider_id)).one(db).await? {
            return Ok(Some(found));
        }
        match self.part_of(provider_id).await? {
            Some(message_id) => message::Entity::find_by_id(message_id).one(db).await,
            None => Ok(None),
        }
    }

    /// The values of the choices in the place of what the provider gave back for them.
    async fn write_out_choices(&self, attributes: &mut Map<String, Value>) -> Result<(), DbErr> {
        let Some(Value::Array(submitted)) = attributes.get_mut("submitted_values") else { return Ok(()) };
        for one in submitted {
            let named = one.get("value").and_then(Value::as_str).and_then(|value| value.strip_prefix(CHOICE)?.split_once(':'));
            let Some((Ok(message_id), Ok(position))) = named.map(|(id, position)| (id.parse::<i64>(), position.parse::<usize>())) else {
                continue;
            };
            let of_inbox = message::Entity::find_by_id(message_id).filter(message::Column::InboxId.eq(self.inbox.row.id));
            let asked = of_inbox.one(&self.db.read).await?;
            let chosen = asked.as_ref().and_then(|asked| asked.content_attributes.get("items")?.get(position)?.get("value"));
            if let (Some(chosen), Value::Object(one)) = (chosen, one) {
                one.insert("value".into(), chosen.clone());
            }
        }
        Ok(())
    }

    async fn store_files(
        &self,
        attachments: Vec<InboundFile>,
        attributes: &mut Map<String, Value>,
    ) -> Result<(Vec<NewFile>, Vec<Unkept>), ChannelError> {
        let limit = self.channel.capabilities().attachment_limit;
        let (mut files, mut unkept, mut skipped, mut addresses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for attachment in attachments {
            match self.files.put_bytes(&attachment.file_name, &attachment.content_type, attachment.bytes, limit).await {
                Ok(stored) => {
                    unkept.push(self.files.unkept(&stored));
                    if let Some(content_id) = attachment.content_id {
                        addresses.push((content_id, self.files.url(&stored.key, &stored.file_name)));
                    }
                    files.push(NewFile { stored, uploader_id: None, blob_id: None });
                }
                Err(FileError::TooLarge(limit)) => {
                    skipped.push(json!({ "file_name": attachment.file_name, "reason": format!("larger than {} MB", limit >> 20) }));
                }
                Err(error) => return Err(ChannelError::temporary(format!("storing an attachment: {error}"))),
            }
        }
        if !skipped.is_empty() {
            attributes.insert(SKIPPED_ATTACHMENTS.into(), Value::Array(skipped));
        }
        if let Some(html) = attributes.get_mut("email").and_then(|email| email.get_mut("html_content")) {
            rewrite_content_ids(html, &addresses);
        }
        Ok((files, unkept))
    }

    /// Whether a message is stored already, or is one of ours that came back. Asked before its files are stored.
    async fn is_known(&self, inbound: &Inbound) -> Result<bool, DbErr> {
        if let Some(id) = &inbound.provider_id
            && self.message_of(id).await?.is_some()
        {
            return Ok(true);
        }
        let of_inbox = message::Entity::find().filter(message::Column::InboxId.eq(self.inbox.row.id));
        let Some(own) = inbound.echo_of else { return Ok(false) };
        let conversation = conversation::Entity::find().filter(conversation::Column::Uuid.eq(own.conversation)).one(&self.db.read).await?;
        let Some(conversation) = conversation else { return Ok(false) };
        let claimed = of_inbox.filter(message::Column::Id.eq(own.message)).filter(message::Column::ConversationId.eq(conversation.id));
        let claimed = claimed.filter(message::Column::MessageType.is_in([MessageType::Outgoing, MessageType::Template]));
        Ok(claimed.one(&self.db.read).await?.is_some())
    }

    /// Removes the files of a message of which nobody knows whether it was stored, once that has shown.
    fn remove_unless_stored(&self, files: Vec<NewFile>) {
        let session = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(DOUBT).await;
            let keys = files.iter().map(|file| file.stored.key.as_str());
            let stored = match blob::Entity::find().filter(blob::Column::Key.is_in(keys)).all(&session.db.read).await {
                Ok(stored) => stored,
                Err(error) => return tracing::warn!(%error, "files of a message that may be stored stay in the store"),
            };
            for file in files.iter().filter(|file| !stored.iter().any(|row| row.key == file.stored.key)) {
                drop(session.files.unkept(&file.stored));
            }
        });
    }

    /// Which conversation a message belongs to, and whose it is.
    async fn place(&self, own: &Key, thread: &Thread) -> Result<(Key, Target), DbErr> {
        let inbox_id = own.inbox_id;
        let Thread::References(references) = thread else { return Ok((own.clone(), Target::Latest)) };
        for reference in references {
            let conversations = conversation::Entity::find().filter(conversation::Column::InboxId.eq(inbox_id));
            let found = match reference {
                Reference::Conversation(uuid) => match conversations.filter(conversation::Column::Uuid.eq(*uuid)).one(&self.db.read).await?
                {
                    Some(found) => Some(found),
                    None => self.continued(*uuid, &own.source_id).await?,
                },
                Reference::Message(id) => {
                    let of_message = message::Entity::find()
                        .select_only()
                        .column(message::Column::ConversationId)
                        .filter(Condition::all().add(message::Column::InboxId.eq(inbox_id)).add(message::Column::SourceId.eq(id)))
                        .into_query();
                    conversations.filter(conversation::Column::Id.in_subquery(of_message)).one(&self.db.read).await?
                }
                Reference::ThreadIndex(index) => {
                    // In the words of the index conversations_by_thread_index.
                    let named = Expr::cust("additional_attributes ->> 'thread_index'").eq(index);
                    conversations.filter(named).order_by_desc(conversation::Column::Id).one(&self.db.read).await?
                }
            };
            let Some(found) = found else { continue };
            if let Some(identity) = contact_inbox::Entity::find_by_id(found.contact_inbox_id).one(&self.db.read).await? {
                return Ok((Key { inbox_id: found.inbox_id, source_id: identity.source_id }, Target::Given(found.id)));
            }
        }
        Ok((own.clone(), Target::New))
    }

    /// A conversation of a website of the same account that its contact goes on with by mail. Who knows its uuid and writes from
    /// another address than the contact's is somebody else.
    async fn continued(&self, uuid: uuid::Uuid, sender: &str) -> Result<Option<conversation::Model>, DbErr> {
        let db = &self.db.read;
        if self.inbox.settings.kind() != "email" {
            return Ok(None);
        }
        let of_account = conversation::Entity::find().filter(conversation::Column::AccountId.eq(self.inbox.row.account_id));
        let Some(found) = of_account.filter(conversation::Column::Uuid.eq(uuid)).one(db).await? else { return Ok(None) };
        let website = inbox::Entity::find_by_id(found.inbox_id)
            .filter(inbox::Column::Channel.eq("web_widget"))
            .filter(inbox::Column::DeletedAt.is_null())
            .one(db)
            .await?;
        let contact = contact::Entity::find_by_id(found.contact_id).one(db).await?;
        let is_own = contact.and_then(|contact| contact.email).is_some_and(|email| email.eq_ignore_ascii_case(sender));
        Ok(website.filter(|_| is_own).map(|_| found))
    }
}

/// What came with a message, by how it is kept.
#[derive(Default)]
struct Carried {
    files: Vec<InboundFile>,
    downloads: Vec<RemoteFile>,
    things: Vec<Thing>,
}

fn carried(attachments: Vec<InboundAttachment>) -> Carried {
    let mut carried = Carried::default();
    for attachment in attachments {
        match attachment {
            InboundAttachment::File(file) => carried.files.push(file),
            InboundAttachment::Remote(file) => carried.downloads.push(file),
            InboundAttachment::Place(place) => carried.things.push(Thing::Place(place)),
            InboundAttachment::Card(card) => carried.things.push(Thing::Card(card)),
        }
    }
    carried
}

/// Puts the addresses of stored files in the place of `"cid:…"` references; with their quotes, since one id may begin another.
fn rewrite_content_ids(html: &mut Value, addresses: &[(String, String)]) {
    match html {
        Value::String(text) => {
            for (content_id, address) in addresses {
                let reference = format!("\"cid:{content_id}\"");
                if text.contains(&reference) {
                    *text = text.replace(&reference, &format!("\"{address}\""));
                }
            }
        }
        Value::Object(parts) => parts.values_mut().for_each(|part| rewrite_content_ids(part, addresses)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_images_show_the_stored_file() {
        let mut html = json!({ "full": "<img src=\"cid:a@b\"> <img src=\"cid:a@b.other\">", "reply": "<img src=\"cid:a@b\">" });
        rewrite_content_ids(&mut html, &[("a@b".into(), "https://desk/files/1".into())]);
        assert_eq!(
            html,
            json!({ "full": "<img src=\"https://desk/files/1\"> <img src=\"cid:a@b.other\">", "reply": "<img src=\"https://desk/files/1\">" })
        );
    }
}
