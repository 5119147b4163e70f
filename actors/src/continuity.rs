//! Answers that a visitor of a website does not see go to it by mail, some minutes later: all of them in one.
//!
//! An answer is noted in `follow_ups` in its own transaction, and the note goes in that of the mail or of the visitor's having
//! seen it: so a restart neither forgets an answer nor mails it twice.
use crate::catalog::{Inbox, Snapshot};
use crate::channel::ChannelSettings;
use crate::conversation::{Command, ConversationError};
use crate::conversations::{Conversations, Tell};
use crate::db::Db;
use crate::event::MessageView;
use crate::mailer::{Headers, Mail, Mailer};
use crate::message::{Key, Sender};
use crate::outbound::signature;
use crate::presence::Presence;
use actix::Addr;
use chrono::{DateTime, Duration, Utc};
use entity::message::MessageType;
use entity::{contact_inbox, conversation, follow_up, message};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

/// How long an answer waits to be seen.
pub const PATIENCE: Duration = Duration::minutes(2);
/// When a conversation is looked at again whose contact is there, or that failed.
const LATER: Duration = Duration::seconds(30);
/// How many conversations are looked at in one tick.
const AT_ONCE: u64 = 100;
/// The most characters of an answer that a mail shows.
const EXCERPT: usize = 20_000;

/// Whether visitors of an inbox are told by mail of what they have not seen.
pub fn is_continued(inbox: &Inbox) -> bool {
    matches!(&inbox.settings, ChannelSettings::WebWidget(settings) if settings.continuity_via_email) && !inbox.is_deleted()
}

/// Whether somebody of the desk has written it to the contact, and it still says so.
pub fn is_answer(message: &message::Model) -> bool {
    let is_deleted = message.content_attributes.get("deleted").is_some_and(|deleted| deleted == true);
    message.message_type == MessageType::Outgoing && !message.private && !is_deleted
}

/// The mailbox of an account in which answers to its mails arrive; none where there is none.
pub fn mailbox(catalog: &Snapshot, account_id: i64) -> Option<String> {
    let mut addresses = catalog.inboxes_of(account_id).into_iter().filter(|inbox| inbox.row.enabled).filter_map(|inbox| {
        let ChannelSettings::Email(settings) = &inbox.settings else { return None };
        Some(settings.email.clone()).filter(|email| settings.imap_enabled && !email.is_empty())
    });
    addresses.next()
}

/// The mail with answers that were not seen, oldest first; none if there are none.
pub fn mail(
    inbox: &Inbox,
    conversation: &conversation::Model,
    recipient: String,
    answers: &[MessageView],
    reply_to: Option<String>,
) -> Option<Mail> {
    let (first, last) = (answers.first()?, answers.last()?);
    let url = match &inbox.settings {
        ChannelSettings::WebWidget(settings) => Some(settings.website_url.trim()).filter(|url| !url.is_empty()),
        _ => None,
    };
    let way_back = match (url, &reply_to) {
        (Some(url), Some(_)) => format!("You can answer this mail, or go on where you left off: {url}\n"),
        (Some(url), None) => format!("To answer, go back to where you left off: {url}\n"),
        (None, Some(_)) => "You can answer this mail.\n".to_owned(),
        (None, None) => String::new(),
    };
    let said: String = answers.iter().map(|answer| format!("{}:\n{}\n\n", signed(inbox, answer), text(answer))).collect();
    let thread = format!("conversation/{}", conversation.uuid);
    let headers = Headers {
        sender_name: Some(one_line(&signed(inbox, last))),
        reply_to,
        message_id: Some(format!("{thread}/messages/{}", last.message.id)),
        in_reply_to: Some(thread),
    };
    Some(Mail {
        account_id: conversation.account_id,
        key: format!("continuity/{}/{}", conversation.id, first.message.id),
        recipient,
        subject: format!("New messages from {}", one_line(&inbox.row.name)),
        body: format!("{said}{way_back}"),
        headers,
    })
}

fn signed(inbox: &Inbox, answer: &MessageView) -> String {
    let agent = match &answer.sender {
        Some(Sender::User(user)) => Some(user.available_name.as_str()),
        _ => None,
    };
    signature(&inbox.row, agent)
}

/// What an answer says, and the names of its files.
fn text(answer: &MessageView) -> String {
    let content: String = answer.message.content.as_deref().unwrap_or_default().trim().chars().take(EXCERPT).collect();
    let names = answer.attachments.iter().filter_map(|file| file.meta.get("file_name")?.as_str());
    let files = names.map(|name| format!("[{}]", one_line(name)));
    Some(content).filter(|content| !content.is_empty()).into_iter().chain(files).collect::<Vec<_>>().join("\n")
}

fn one_line(text: &str) -> String {
    text.split(|letter: char| letter.is_control() || letter.is_whitespace()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Mails what was not seen in time to those who are not there.
///
/// # Errors
/// If the database fails.
pub async fn follow_up(db: &Db, presence: &Presence, conversations: &Addr<Conversations>, mailer: &Mailer) -> Result<(), DbErr> {
    if !mailer.has_relay() {
        return Ok(());
    }
    let now = entity::now();
    let due = follow_up::Entity::find().filter(follow_up::Column::DueAt.lte(now)).order_by_asc(follow_up::Column::DueAt).limit(AT_ONCE);
    let due = due.all(&db.read).await?;
    let is_any = !due.is_empty();
    for waiting in due {
        let Some((conversation, key)) = whose(db, waiting.conversation_id).await? else {
            follow_up::Entity::delete_by_id(waiting.conversation_id).exec(&db.write).await?;
            continue;
        };
        if presence.is_contact_online(conversation.account_id, conversation.contact_id) {
            postpone(db, waiting.conversation_id, now + LATER).await?;
            continue;
        }
        match conversations.send(Tell { key, command: Command::FollowUp { conversation_id: conversation.id } }).await {
            Ok(Ok(_)) => {}
            Ok(Err(ConversationError::NotFound)) => {
                follow_up::Entity::delete_by_id(waiting.conversation_id).exec(&db.write).await?;
            }
            Ok(Err(error)) => {
                tracing::warn!(conversation.id = conversation.id, %error, "mailing what a visitor has not seen; tried again soon");
                postpone(db, waiting.conversation_id, now + LATER).await?;
            }
            Err(_) => return Ok(()),
        }
    }
    if is_any {
        mailer.ring();
    }
    Ok(())
}

async fn postpone(db: &Db, conversation_id: i64, due_at: DateTime<Utc>) -> Result<(), DbErr> {
    let of_conversation = follow_up::Column::ConversationId.eq(conversation_id);
    let later = follow_up::Entity::update_many().col_expr(follow_up::Column::DueAt, Expr::value(due_at)).filter(of_conversation);
    later.exec(&db.write).await.map(drop)
}

async fn whose(db: &Db, conversation_id: i64) -> Result<Option<(conversation::Model, Key)>, DbErr> {
    let Some(conversation) = conversation::Entity::find_by_id(conversation_id).one(&db.read).await? else { return Ok(None) };
    let identity = contact_inbox::Entity::find_by_id(conversation.contact_inbox_id).one(&db.read).await?;
    Ok(identity.map(|identity| (conversation, Key { inbox_id: identity.inbox_id, source_id: identity.source_id })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_one_line() {
        assert_eq!(one_line("Shop\r\nBcc: eve@example.com"), "Shop Bcc: eve@example.com");
        assert_eq!(one_line(" a \u{0} b "), "a b");
    }
}
