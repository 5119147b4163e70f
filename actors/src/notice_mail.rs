//! Mails about notifications: short, with a link to the conversation. They wait a moment, so that a burst of messages is one
//! mail, and one who reads the notification meanwhile gets none.
use crate::event::NotificationView;
use crate::mailer::{self, Headers, Mail};
use crate::message::Sender;
use crate::secret::Vault;
use crate::wire::notification_title;
use chrono::Duration;
use entity::mail;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

/// How long a mail waits for more of its conversation.
const PATIENCE: Duration = Duration::seconds(60);
/// The most characters of a message that a mail shows.
const EXCERPT: usize = 300;

/// The mail about a notification. Of one user and one conversation only one waits at a time.
pub fn mail(told: &NotificationView, desk_url: &str) -> Mail {
    let (account_id, number) = (told.notification.account_id, told.conversation.conversation.display_id);
    let title = notification_title(told);
    let said = told.message.as_ref().and_then(|said| said.message.content.as_deref()).map(excerpt).filter(|text| !text.is_empty());
    let quoted = said.map(|text| format!("{}: {text}\n\n", writer(told))).unwrap_or_default();
    let link = format!("{}/app/accounts/{account_id}/conversations/{number}", desk_url.trim_end_matches('/'));
    Mail {
        account_id,
        key: key(told.user.id, told.conversation.conversation.id),
        recipient: told.user.email.clone(),
        subject: title.clone(),
        body: format!("{title}.\n\n{quoted}{link}\n"),
        headers: Headers::default(),
    }
}

/// Stores mails in the transaction of their notifications.
///
/// # Errors
/// If the database fails.
pub async fn queue(db: &impl ConnectionTrait, vault: &Vault, mails: Vec<Mail>) -> Result<(), DbErr> {
    if mails.is_empty() {
        return Ok(());
    }
    // One that was given up would be in the way for ever.
    mail::Entity::delete_many()
        .filter(mail::Column::Key.is_in(mails.iter().map(|mail| mail.key.as_str())))
        .filter(mail::Column::GivenUpAt.is_not_null())
        .exec(db)
        .await?;
    mailer::insert(db, vault, mails, entity::now() + PATIENCE).await
}

/// Withdraws the mails of a user about conversations: it knows.
///
/// # Errors
/// If the database fails.
pub async fn withdraw(db: &impl ConnectionTrait, user_id: i64, conversations: impl Iterator<Item = i64>) -> Result<(), DbErr> {
    let keys = conversations.map(|conversation_id| key(user_id, conversation_id));
    mail::Entity::delete_many().filter(mail::Column::Key.is_in(keys)).exec(db).await.map(drop)
}

fn writer(told: &NotificationView) -> &str {
    match told.message.as_ref().and_then(|said| said.sender.as_ref()) {
        Some(Sender::User(user)) => &user.available_name,
        Some(Sender::Bot(bot)) => &bot.name,
        Some(Sender::Contact(contact)) => &contact.name,
        None => &told.conversation.inbox.name,
    }
}

fn key(user_id: i64, conversation_id: i64) -> String {
    format!("notification/{user_id}/{conversation_id}")
}

/// How a text begins, on one line.
fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::view;
    use crate::message::UserCard;
    use entity::notification::{Model, NotificationType};
    use serde_json::json;

    #[test]
    fn a_mail_says_what_happened_and_leads_there() {
        let now = entity::now();
        let (mut message, conversation) = view();
        let user = UserCard {
            id: 3,
            name: "Grace".into(),
            available_name: "Grace".into(),
            email: "g@example.com".into(),
            avatar_url: String::new(),
        };
        let notification = Model {
            id: 9,
            account_id: 1,
            user_id: 3,
            notification_type: NotificationType::AssignedConversationNewMessage,
            conversation_id: 5,
            message_id: Some(1),
            performer_id: None,
            read_at: None,
            snoozed_until: None,
            last_activity_at: now,
            meta: json!({}),
            created_at: now,
            updated_at: now,
        };
        message.message.content = Some("Where is\n\nmy order?".into());
        let mut told = NotificationView { notification, conversation, message: Some(message), performer: None, user };
        let mail = mail_of(&told);
        assert_eq!((mail.recipient.as_str(), mail.subject.as_str()), ("g@example.com", "A new message in conversation (#3)"));
        let link = "https://desk.example/app/accounts/1/conversations/3\n";
        assert_eq!(mail.body, format!("A new message in conversation (#3).\n\nAda: Where is my order?\n\n{link}"));
        let first = mail.key;
        told.notification.notification_type = NotificationType::ConversationAssignment;
        told.message = None;
        let mail = mail_of(&told);
        assert_eq!(mail.body, format!("A conversation (#3) was assigned to you.\n\n{link}"));
        assert_eq!(mail.key, first, "of one conversation one mail");
    }

    fn mail_of(told: &NotificationView) -> Mail {
        mail(told, "https://desk.example/")
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long = excerpt(&"ü".repeat(400));
        assert_eq!((long.chars().count(), long.ends_with('…')), (301, true));
        assert_eq!(excerpt(" a \n b "), "a b");
    }
}
