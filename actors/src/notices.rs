//! Who is told of what: the table of notifications, apart from how they are stored (`store/notices.rs`).
//!
//! | what happened | who is told | of what |
//! | --- | --- | --- |
//! | a conversation was opened | members of the inbox who asked for it | conversation_creation |
//! | it was given to somebody | that agent | conversation_assignment |
//! | a note mentions somebody | whoever is mentioned and may see it | conversation_mention |
//! | the customer wrote | the assignee | assigned_conversation_new_message |
//! | anybody wrote | participants | participating_conversation_new_message |
//!
//! Nobody is told of what he did himself, nor twice of one message; of a blocked contact only who is mentioned.
use crate::event::Fact;
use entity::message::{MessageType, SenderType};
use entity::notification::NotificationType;

/// One user to be told of one fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Who.
    pub user_id: i64,
    /// Of what.
    pub notification_type: NotificationType,
    /// The message that caused it.
    pub message_id: Option<i64>,
}

/// The people around a conversation.
#[derive(Clone, Debug, Default)]
pub struct Circle {
    /// Members of the inbox who want to hear of new conversations.
    pub curious: Vec<i64>,
    /// Who follows the conversation.
    pub participants: Vec<i64>,
    /// Whom the note mentions.
    pub mentioned: Vec<i64>,
    /// Who caused the fact, if a user did.
    pub performer_id: Option<i64>,
}

/// Who is to be told of a fact.
pub fn notices(fact: &Fact, circle: &Circle) -> Vec<Notice> {
    use NotificationType::{
        AssignedConversationNewMessage, ConversationAssignment, ConversationCreation, ConversationMention,
        ParticipatingConversationNewMessage,
    };
    let Some(view) = fact.conversation() else { return Vec::new() };
    let assignee = view.conversation.assignee_id;
    let mut told: Vec<(i64, NotificationType)> = Vec::new();
    let mut message_id = None;
    match fact {
        Fact::ConversationCreated(_) => {
            told.extend(circle.curious.iter().map(|user_id| (*user_id, ConversationCreation)));
            told.extend(assignee.map(|user_id| (user_id, ConversationAssignment)));
        }
        Fact::AssigneeChanged(_) => told.extend(assignee.map(|user_id| (user_id, ConversationAssignment))),
        Fact::MessageCreated(said, _) if said.message.message_type != MessageType::Activity => {
            message_id = Some(said.message.id);
            told.extend(circle.mentioned.iter().map(|user_id| (*user_id, ConversationMention)));
            if said.message.sender_type == Some(SenderType::Contact) {
                told.extend(assignee.map(|user_id| (user_id, AssignedConversationNewMessage)));
            }
            told.extend(circle.participants.iter().map(|user_id| (*user_id, ParticipatingConversationNewMessage)));
        }
        _ => {}
    }
    if view.contact.blocked {
        told.retain(|(_, kind)| *kind == ConversationMention);
    }
    let mut notices: Vec<Notice> = Vec::new();
    for (user_id, notification_type) in told {
        let is_known = message_id.is_some() && notices.iter().any(|notice| notice.user_id == user_id);
        if Some(user_id) != circle.performer_id && !is_known {
            notices.push(Notice { user_id, notification_type, message_id });
        }
    }
    notices
}

/// Whom a note mentions: `[@Ada](mention://user/3/Ada)`, `[@Sales](mention://team/2/Sales)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// Ids of users.
    pub users: Vec<i64>,
    /// Ids of teams.
    pub teams: Vec<i64>,
}

/// Reads the mentions in a text.
pub fn mentions(content: &str) -> Mentions {
    let mut found = Mentions::default();
    for link in content.split("](mention://").skip(1) {
        let mut parts = link.splitn(3, ['/', ')']);
        let (kind, id) = (parts.next(), parts.next().and_then(|id| id.parse().ok()));
        match (kind, id) {
            (Some("user"), Some(id)) => found.users.push(id),
            (Some("team"), Some(id)) => found.teams.push(id),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::tests::view;
    use crate::event::{ConversationView, MessageView};
    use NotificationType::*;
    use std::sync::Arc;

    fn assigned(view: &ConversationView, assignee: Option<i64>) -> ConversationView {
        let mut conversation = (*view.conversation).clone();
        conversation.assignee_id = assignee;
        ConversationView { conversation: Arc::new(conversation), ..view.clone() }
    }

    #[test]
    fn everybody_concerned_is_told_once_and_nobody_of_his_own_doing() {
        let (message, view) = view();
        let (free, of_3) = (assigned(&view, None), assigned(&view, Some(3)));
        let reply = MessageView {
            message: entity::message::Model {
                message_type: MessageType::Outgoing,
                sender_type: Some(SenderType::User),
                ..message.message.clone()
            },
            ..message.clone()
        };
        let activity = MessageView {
            message: entity::message::Model { message_type: MessageType::Activity, ..message.message.clone() },
            ..message.clone()
        };
        let nobody = Circle::default();
        let by = |performer_id| Circle { performer_id: Some(performer_id), ..Circle::default() };
        let curious = Circle { curious: vec![1, 2], performer_id: Some(2), ..Circle::default() };
        let followed = Circle { participants: vec![3, 4, 5], performer_id: Some(4), ..Circle::default() };
        let noted = Circle { participants: vec![5, 6], mentioned: vec![5], performer_id: Some(3), ..Circle::default() };
        for (what, fact, circle, expected) in [
            ("a message nobody waits for", Fact::MessageCreated(message.clone(), free.clone()), &nobody, vec![]),
            ("a new conversation", Fact::ConversationCreated(free.clone()), &curious, vec![(1, ConversationCreation)]),
            ("one that is somebody's at once", Fact::ConversationCreated(of_3.clone()), &nobody, vec![(3, ConversationAssignment)]),
            ("an assignment", Fact::AssigneeChanged(of_3.clone()), &by(1), vec![(3, ConversationAssignment)]),
            ("taken by himself", Fact::AssigneeChanged(of_3.clone()), &by(3), vec![]),
            ("taken away", Fact::AssigneeChanged(free.clone()), &by(1), vec![]),
            ("the customer", Fact::MessageCreated(message.clone(), of_3.clone()), &nobody, vec![(3, AssignedConversationNewMessage)]),
            ("a colleague", Fact::MessageCreated(reply.clone(), of_3.clone()), &by(1), vec![]),
            (
                "the customer, with participants",
                Fact::MessageCreated(message, of_3.clone()),
                &followed,
                vec![(3, AssignedConversationNewMessage), (5, ParticipatingConversationNewMessage)],
            ),
            (
                "a reply, with participants",
                Fact::MessageCreated(reply.clone(), free.clone()),
                &followed,
                vec![(3, ParticipatingConversationNewMessage), (5, ParticipatingConversationNewMessage)],
            ),
            (
                "a mention of a participant",
                Fact::MessageCreated(reply, of_3.clone()),
                &noted,
                vec![(5, ConversationMention), (6, ParticipatingConversationNewMessage)],
            ),
            ("an activity", Fact::MessageCreated(activity, of_3), &followed, vec![]),
            ("a change", Fact::ConversationRead(free), &followed, vec![]),
        ] {
            let told: Vec<_> = notices(&fact, circle).into_iter().map(|notice| (notice.user_id, notice.notification_type)).collect();
            assert_eq!(told, expected, "{what}");
        }
    }

    #[test]
    fn of_a_blocked_contact_only_who_is_mentioned_is_told() {
        let (message, view) = view();
        let mut contact = (*view.contact).clone();
        contact.blocked = true;
        let blocked = ConversationView { contact: Arc::new(contact), ..assigned(&view, Some(3)) };
        let circle = Circle { participants: vec![4], mentioned: vec![5], ..Circle::default() };
        let told = notices(&Fact::MessageCreated(message, blocked), &circle);
        assert_eq!(told.iter().map(|notice| notice.user_id).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn mentions_are_read_from_notes() {
        for (note, users, teams) in [
            ("look, [@Ada](mention://user/3/Ada%20L) and [@Sales](mention://team/12/Sales)!", vec![3], vec![12]),
            ("[@A](mention://user/3) [@B](mention://user/4/B)", vec![3, 4], vec![]),
            ("mention://user/3/A, [@x](mention://user/x/X), [y](https://user/3/y), [@z](mention://bot/3/z)", vec![], vec![]),
            ("", vec![], vec![]),
        ] {
            assert_eq!(mentions(note), Mentions { users, teams }, "{note}");
        }
    }
}
