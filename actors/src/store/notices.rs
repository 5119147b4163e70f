//! Stores the notifications and mentions that follow from the facts of a group, in its transaction. Who is told of what is
//! decided in `crate::notices`.
use super::rows::{Ids, insert};
use crate::catalog::Snapshot;
use crate::event::{Event, Fact, NotificationView};
use crate::mailer::Postroom;
use crate::notice_mail;
use crate::notices::{Circle, Notice, mentions, notices};
use crate::participants::Participants;
use entity::message::MessageType;
use entity::notification::{self, NotificationType};
use entity::{conversation, mention, participant};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, JoinType, QueryFilter, QuerySelect};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// One fact of a group and what it causes.
struct Caused<'a> {
    position: usize,
    event: &'a Event,
    notice: Notice,
}

/// Writes them, and mails about them where they lead to the desk's address; returns the facts to tell, each with the position of
/// the record that caused it.
pub async fn write(
    db: &impl ConnectionTrait,
    ids: &mut Ids,
    catalog: &Snapshot,
    participants: &Participants,
    postroom: &Postroom,
    events_of: &[Vec<Arc<Event>>],
) -> Result<Vec<(usize, Fact)>, DbErr> {
    let caused = caused(db, catalog, participants, events_of).await?;
    if caused.is_empty() {
        return Ok(Vec::new());
    }
    let mut facts = Vec::new();
    let mentioned = caused.iter().filter(|caused| caused.notice.notification_type == NotificationType::ConversationMention);
    for Caused { position, event, notice } in mentioned.clone() {
        if let Some(view) = event.fact.conversation() {
            participants.note(view.conversation.id);
            facts.push((*position, Fact::ConversationMentioned(view.clone(), notice.user_id)));
        }
    }
    write_mentions(db, mentioned).await?;
    let gone = remove_earlier(db, &caused).await?;
    let rows: Vec<notification::Model> = caused.iter().filter_map(|caused| row(ids.notification(), caused)).collect();
    insert::<notification::Entity>(db, rows.clone()).await?;
    let unread = unread(db, catalog, caused.iter().map(|caused| caused.notice.user_id).collect()).await?;
    let unread_of = |row: &notification::Model| unread.get(&(row.user_id, row.account_id)).copied().unwrap_or_default();
    for row in gone {
        let position = caused.iter().find(|caused| caused.notice.user_id == row.user_id).map_or(0, |caused| caused.position);
        facts.push((position, Fact::NotificationDeleted { id: row.id, user_id: row.user_id, unread: unread_of(&row) }));
    }
    let mut mails = Vec::new();
    for (row, caused) in rows.into_iter().zip(caused) {
        let unread = unread_of(&row);
        if let Some(view) = notification_view(catalog, row, caused.event) {
            let told = &view.notification;
            if let Some(url) =
                postroom.desk_url.as_deref().filter(|_| catalog.wants_mail(told.account_id, told.user_id, told.notification_type))
            {
                mails.push(notice_mail::mail(&view, url));
            }
            facts.push((caused.position, Fact::NotificationCreated(Box::new(view), unread)));
        }
    }
    notice_mail::queue(db, &postroom.vault, mails).await?;
    Ok(facts)
}

/// How many notifications users have not read, by user and account. Snoozed ones do not count, nor those of conversations that
/// the user may not see any more.
///
/// # Errors
/// If the database fails.
pub async fn unread(db: &impl ConnectionTrait, catalog: &Snapshot, users: HashSet<i64>) -> Result<HashMap<(i64, i64), i64>, DbErr> {
    use notification::Column as C;
    let about = notification::Entity::belongs_to(conversation::Entity).from(C::ConversationId).to(conversation::Column::Id).into();
    let counted: Vec<(i64, i64, i64, Option<i64>, i64)> = notification::Entity::find()
        .select_only()
        .columns([C::UserId, C::AccountId])
        .columns([conversation::Column::InboxId, conversation::Column::TeamId])
        .column_as(C::Id.count(), "unread")
        .join(JoinType::InnerJoin, about)
        .filter(C::UserId.is_in(users))
        .filter(C::ReadAt.is_null())
        .filter(Condition::any().add(C::SnoozedUntil.is_null()).add(C::SnoozedUntil.lte(entity::now())))
        .group_by(C::UserId)
        .group_by(C::AccountId)
        .group_by(conversation::Column::InboxId)
        .group_by(conversation::Column::TeamId)
        .into_tuple()
        .all(db)
        .await?;
    let mut unread = HashMap::new();
    for (user_id, account_id, inbox_id, team_id, count) in counted {
        if catalog.may_see(user_id, inbox_id, team_id) {
            *unread.entry((user_id, account_id)).or_default() += count;
        }
    }
    Ok(unread)
}

async fn caused<'a>(
    db: &impl ConnectionTrait,
    catalog: &Snapshot,
    participants: &Participants,
    events_of: &'a [Vec<Arc<Event>>],
) -> Result<Vec<Caused<'a>>, DbErr> {
    let all = || events_of.iter().enumerate().flat_map(|(position, events)| events.iter().map(move |event| (position, event)));
    let said = all().filter_map(|(_, event)| match &event.fact {
        Fact::MessageCreated(said, view) if said.message.message_type != MessageType::Activity => Some(view.conversation.id),
        _ => None,
    });
    let participants = participants.of(db, said.collect()).await?;
    let mut caused = Vec::new();
    for (position, event) in all() {
        let circle = circle(catalog, event, &participants);
        let is_member = |notice: &Notice| catalog.user(notice.user_id).is_some_and(|user| user.place(event.account.id).is_some());
        let told = notices(&event.fact, &circle).into_iter().filter(is_member);
        caused.extend(told.map(|notice| Caused { position, event, notice }));
    }
    Ok(caused)
}

fn circle(catalog: &Snapshot, event: &Event, participants: &HashMap<i64, Vec<i64>>) -> Circle {
    let mut circle = Circle { performer_id: event.performer.as_ref().map(|user| user.id), ..Circle::default() };
    match &event.fact {
        Fact::ConversationCreated(view) => {
            let members = catalog.inbox(view.inbox.id).map(|inbox| inbox.members.as_slice()).unwrap_or_default();
            let wants = |id: &&i64| catalog.wants(event.account.id, **id, NotificationType::ConversationCreation);
            circle.curious = members.iter().filter(wants).copied().collect();
        }
        Fact::MessageCreated(said, view) => {
            circle.participants = participants.get(&view.conversation.id).cloned().unwrap_or_default();
            if said.message.private
                && let Some(content) = &said.message.content
            {
                circle.mentioned = mentioned(catalog, event, view.inbox.id, content);
            }
        }
        _ => {}
    }
    circle
}

/// Users and members of teams who are mentioned and may see the conversation.
fn mentioned(catalog: &Snapshot, event: &Event, inbox_id: i64, content: &str) -> Vec<i64> {
    let found = mentions(content);
    let teams = found.teams.iter().filter_map(|id| catalog.team(*id)).filter(|team| team.row.account_id == event.account.id);
    let mut users: Vec<i64> = Vec::new();
    for id in found.users.iter().chain(teams.flat_map(|team| team.members.iter())) {
        let may_see = catalog.inbox(inbox_id).is_some_and(|inbox| inbox.is_visible_to(*id));
        if may_see && !users.contains(id) {
            users.push(*id);
        }
    }
    users
}

async fn write_mentions<'a>(db: &impl ConnectionTrait, mentioned: impl Iterator<Item = &'a Caused<'a>>) -> Result<(), DbErr> {
    // One statement must not meet a row twice.
    let mut rows: HashMap<(i64, i64), (mention::ActiveModel, participant::ActiveModel)> = HashMap::new();
    for Caused { event, notice, .. } in mentioned {
        let Some(view) = event.fact.conversation() else { continue };
        let (account_id, conversation_id) = (event.account.id, view.conversation.id);
        let mention = mention::ActiveModel {
            id: ActiveValue::NotSet,
            account_id: ActiveValue::Set(account_id),
            conversation_id: ActiveValue::Set(conversation_id),
            user_id: ActiveValue::Set(notice.user_id),
            mentioned_at: ActiveValue::Set(event.at),
        };
        let participant = participant::ActiveModel {
            id: ActiveValue::NotSet,
            account_id: ActiveValue::Set(account_id),
            conversation_id: ActiveValue::Set(conversation_id),
            user_id: ActiveValue::Set(notice.user_id),
            created_at: ActiveValue::Set(event.at),
        };
        rows.insert((conversation_id, notice.user_id), (mention, participant));
    }
    if rows.is_empty() {
        return Ok(());
    }
    let (mentions, followers): (Vec<_>, Vec<_>) = rows.into_values().unzip();
    let again = OnConflict::columns([mention::Column::UserId, mention::Column::AccountId, mention::Column::ConversationId])
        .update_column(mention::Column::MentionedAt)
        .to_owned();
    mention::Entity::insert_many(mentions).on_conflict(again).exec_without_returning(db).await?;
    let known = OnConflict::columns([participant::Column::ConversationId, participant::Column::UserId]).do_nothing().to_owned();
    participant::Entity::insert_many(followers).on_conflict(known).exec_without_returning(db).await?;
    Ok(())
}

/// A user has one notification of a conversation, the latest.
async fn remove_earlier(db: &impl ConnectionTrait, caused: &[Caused<'_>]) -> Result<Vec<notification::Model>, DbErr> {
    use notification::Column as C;
    let conversations = caused.iter().filter_map(|caused| caused.event.fact.conversation()).map(|view| view.conversation.id);
    let conversations: HashSet<i64> = conversations.collect();
    let told: HashSet<(i64, i64)> =
        caused.iter().filter_map(|caused| Some((caused.event.fact.conversation()?.conversation.id, caused.notice.user_id))).collect();
    let stored = notification::Entity::find()
        .filter(C::ConversationId.is_in(conversations))
        .filter(C::UserId.is_in(caused.iter().map(|caused| caused.notice.user_id)))
        .all(db)
        .await?;
    let gone: Vec<notification::Model> = stored.into_iter().filter(|row| told.contains(&(row.conversation_id, row.user_id))).collect();
    if !gone.is_empty() {
        notification::Entity::delete_many().filter(C::Id.is_in(gone.iter().map(|row| row.id))).exec(db).await?;
    }
    Ok(gone)
}

fn row(id: i64, Caused { event, notice, .. }: &Caused<'_>) -> Option<notification::Model> {
    let view = event.fact.conversation()?;
    Some(notification::Model {
        id,
        account_id: event.account.id,
        user_id: notice.user_id,
        notification_type: notice.notification_type,
        conversation_id: view.conversation.id,
        message_id: notice.message_id,
        performer_id: event.performer.as_ref().map(|user| user.id),
        read_at: None,
        snoozed_until: None,
        last_activity_at: event.at,
        meta: json!({}),
        created_at: event.at,
        updated_at: event.at,
    })
}

fn notification_view(catalog: &Snapshot, row: notification::Model, event: &Event) -> Option<NotificationView> {
    let message = match &event.fact {
        Fact::MessageCreated(said, _) => Some(said.clone()),
        _ => None,
    };
    Some(NotificationView {
        conversation: event.fact.conversation()?.clone(),
        message,
        performer: event.performer.clone(),
        user: catalog.user(row.user_id)?.card(),
        notification: row,
    })
}
