//! Which facts follow from a record: the one place that knows, so that no caller can forget one.
use super::{NewMessage, Record, Row, after_change};
use crate::catalog::Snapshot;
use crate::event::{CONTACT_COLUMNS, CONVERSATION_COLUMNS, Changes, ConversationView, Fact, InboxCard, changes};
use entity::conversation;
use entity::message::{self, MessageType, SenderType};
use serde_json::json;
use std::sync::Arc;

/// Which facts follow from a record, in the order in which they are told.
pub fn facts(record: &Record, catalog: &Snapshot) -> Vec<Fact> {
    let mut facts = Vec::new();
    let contact = Arc::new(record.contact.after().clone());
    let mut contact_changes = match &record.contact {
        Row::Kept(_) => Changes::new(),
        Row::New(_) => {
            facts.push(Fact::ContactCreated(contact.clone()));
            Changes::new()
        }
        Row::Changed { before, after } => changes(before.as_ref(), after, CONTACT_COLUMNS),
    };
    if let Some((before, after)) = record.contact_labels.as_ref().filter(|(before, after)| before != after) {
        contact_changes.insert("labels".into(), json!([before, after]));
    }
    if !contact_changes.is_empty() {
        facts.push(Fact::ContactUpdated(contact.clone(), contact_changes));
    }
    let (Some(inbox), Some(contact_inbox), Some(conversation)) = (&record.inbox, &record.contact_inbox, &record.conversation) else {
        return facts;
    };
    let after = Arc::new(conversation.after().clone());
    let bare = ConversationView {
        contact,
        contact_inbox: Arc::new(contact_inbox.after().clone()),
        inbox: InboxCard { id: inbox.row.id, name: inbox.row.name.clone(), channel_type: inbox.settings.channel_type().to_owned() },
        assignee: catalog.assignee(&after),
        team: after.team_id.and_then(|id| catalog.team(id)).map(|team| team.card()),
        last_message: None,
        can_reply: record.can_reply,
        conversation: after.clone(),
    };
    let last_message = record.messages.last().map(|message| Arc::new(message.view.clone())).or_else(|| record.last_message.clone());
    let view = || ConversationView { last_message: last_message.clone(), ..bare.clone() };
    if matches!(conversation, Row::New(_)) {
        facts.push(Fact::ConversationCreated(view()));
    }
    for message in &record.messages {
        facts.push(Fact::MessageCreated(message.view.clone(), bare.clone()));
    }
    for message in &record.retold {
        facts.push(Fact::MessageCreated(message.clone(), bare.clone()));
    }
    for changed in &record.changed_messages {
        let changes = changes(&changed.before.message, &changed.after, MESSAGE_COLUMNS);
        facts.push(Fact::MessageUpdated(after_change(changed), bare.clone(), changes));
    }
    if let Row::Changed { before, after } = conversation {
        let answer = record.messages.iter().find(|message| is_answer(&message.view.message));
        facts.extend(conversation_facts(before, after, &bare, answer, view));
    }
    facts.extend(record.posts.iter().map(|post| Fact::MacroExecuted(view(), post.clone())));
    facts
}

/// Whether somebody of the desk wrote it to the contact.
fn is_answer(message: &message::Model) -> bool {
    message.message_type == MessageType::Outgoing && !message.private && message.sender_type == Some(SenderType::User)
}

const MESSAGE_COLUMNS: &[&str] = &["content", "content_attributes", "content_type", "status", "source_id"];

fn conversation_facts(
    before: &conversation::Model,
    after: &conversation::Model,
    bare: &ConversationView,
    first_message: Option<&NewMessage>,
    view: impl Fn() -> ConversationView,
) -> Vec<Fact> {
    let mut facts = Vec::new();
    if before.first_reply_created_at.is_none()
        && after.first_reply_created_at.is_some()
        && let Some(message) = first_message
    {
        facts.push(Fact::FirstReplyCreated(message.view.clone(), bare.clone()));
    }
    // Comparing in memory is cheap; rendering rows to compare them is not, and most messages change none of these.
    if !announces(before, after) {
        if before.agent_last_seen_at != after.agent_last_seen_at {
            facts.push(Fact::ConversationRead(view()));
        }
        return facts;
    }
    let changes: Changes = changes(before, after, CONVERSATION_COLUMNS);
    if before.status != after.status {
        facts.push(Fact::ConversationStatusChanged(view(), changes.clone()));
    }
    if before.assignee_id != after.assignee_id || before.assignee_agent_bot_id != after.assignee_agent_bot_id {
        facts.push(Fact::AssigneeChanged(view()));
    }
    if before.team_id != after.team_id {
        facts.push(Fact::TeamChanged(view()));
    }
    facts.push(Fact::ConversationUpdated(view(), changes));
    if before.agent_last_seen_at != after.agent_last_seen_at {
        facts.push(Fact::ConversationRead(view()));
    }
    facts
}

/// Whether one of [`CONVERSATION_COLUMNS`] differs.
fn announces(before: &conversation::Model, after: &conversation::Model) -> bool {
    before.team_id != after.team_id
        || before.assignee_id != after.assignee_id
        || before.assignee_agent_bot_id != after.assignee_agent_bot_id
        || before.status != after.status
        || before.snoozed_until != after.snoozed_until
        || before.custom_attributes != after.custom_attributes
        || before.labels != after.labels
        || before.waiting_since != after.waiting_since
        || before.first_reply_created_at != after.first_reply_created_at
        || before.priority != after.priority
}
