//! Which conversations of websites have answers that wait to be seen: noted with the answer, forgotten once it was seen or mailed.
use super::{Record, Row};
use crate::continuity::{PATIENCE, is_answer, is_continued};
use entity::follow_up;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter};

/// Notes what follows from records: each is the only one of its conversation in the group, since a conversation waits for its
/// commit.
pub async fn write<'a>(db: &impl ConnectionTrait, records: impl Iterator<Item = &'a Record>) -> Result<(), DbErr> {
    let (mut waiting, mut over) = (Vec::new(), Vec::new());
    for record in records {
        let (Some(inbox), Some(conversation)) = (&record.inbox, &record.conversation) else { continue };
        if record.followed_up {
            over.push(conversation.after().id);
            continue;
        }
        if !is_continued(inbox) {
            continue;
        }
        let sees = |before: &entity::conversation::Model| before.contact_last_seen_at != conversation.after().contact_last_seen_at;
        if matches!(conversation, Row::Changed { before, .. } if sees(before)) {
            over.push(conversation.after().id);
            continue;
        }
        let answer = record.messages.iter().map(|message| &message.view.message).find(|message| is_answer(message));
        waiting.extend(answer.map(|answer| follow_up::ActiveModel {
            conversation_id: ActiveValue::Set(answer.conversation_id),
            message_id: ActiveValue::Set(answer.id),
            due_at: ActiveValue::Set(answer.created_at + PATIENCE),
        }));
    }
    if !waiting.is_empty() {
        let waits_already = OnConflict::column(follow_up::Column::ConversationId).do_nothing().to_owned();
        follow_up::Entity::insert_many(waiting).on_conflict(waits_already).exec_without_returning(db).await?;
    }
    if !over.is_empty() {
        follow_up::Entity::delete_many().filter(follow_up::Column::ConversationId.is_in(over)).exec(db).await?;
    }
    Ok(())
}
