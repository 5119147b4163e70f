//! Search, the one place that knows how each database finds words in messages and parts of names.
//!
//! Messages match if they contain every word asked for; a word of three letters and more also matches the beginning of a
//! longer one. SQLite (FTS5) ignores accents, PostgreSQL does not; a run of Chinese or Japanese signs is one word to both.
//! Contacts match if name, address, number or identifier contains the text; shorter than three characters, begins with it.
use entity::contact;
use entity::message::{self, Column};
use sea_orm::sea_query::{Expr, ExprTrait, Order, Query, SelectStatement, UnionType};
use sea_orm::{ColumnTrait, Condition, DbBackend};

use super::Page;
use super::conversations::Scope;

/// From how many characters on a text is found anywhere: both databases index groups of three.
const GROUP: usize = 3;
/// More words are not looked for.
const WORDS: usize = 12;
/// Of more matches than this only so many (of messages: the newest) take part in a list that is filtered by a search.
pub const CANDIDATES: u64 = 1_000;

/// What of a message is wanted.
#[derive(Clone, Copy, Debug)]
pub enum Wanted {
    /// Its id.
    Message,
    /// The id of its conversation.
    Conversation,
    /// Its id, then that of its conversation.
    Both,
}

impl Wanted {
    fn columns(self) -> &'static [Column] {
        match self {
            Wanted::Message => &[Column::Id],
            Wanted::Conversation => &[Column::ConversationId],
            Wanted::Both => &[Column::Id, Column::ConversationId],
        }
    }
}

/// The messages that the caller may see and that contain the words, newest first; none where the text has no words.
/// Activities are never searched.
pub fn messages(backend: DbBackend, scope: &Scope, text: &str, wanted: Wanted, page: Page) -> Option<SelectStatement> {
    let words = words(text);
    if words.is_empty() {
        return None;
    }
    let mut visible = Condition::all().add(Column::AccountId.eq(scope.account_id));
    if let Some(inboxes) = &scope.inboxes {
        visible = visible.add(Column::InboxId.is_in(inboxes.iter().copied()));
    }
    let mut select = Query::select();
    match backend {
        DbBackend::Postgres => {
            // Apart from the order: otherwise the planner may walk through all messages from the newest on, parsing each.
            let mut found = Query::select();
            found.columns([(message::Entity, Column::Id), (message::Entity, Column::ConversationId)]);
            found.from(message::Entity).cond_where(visible);
            found.and_where(Expr::cust_with_values(POSTGRES_MATCH, [postgres_query(&words)])).offset(0);
            select.columns(wanted.columns().iter().copied()).from_subquery(found, "found").order_by(Column::Id, Order::Desc);
        }
        _ => {
            select.columns(wanted.columns().iter().map(|column| (message::Entity, *column))).from("messages_text");
            let same = Expr::col((message::Entity, Column::Id)).equals(("messages_text", "rowid"));
            // This join keeps its order: the words are looked up first, the rows by their ids.
            select.cross_join(message::Entity).and_where(same).cond_where(visible);
            select.and_where(Expr::cust_with_values(r#""messages_text" MATCH ?"#, [sqlite_query(&words)]));
            select.order_by(("messages_text", "rowid"), Order::Desc);
        }
    }
    select.limit(page.size).offset(page.offset);
    Some(select)
}

/// The condition on conversations that a message of theirs contains the words.
pub fn saying(backend: DbBackend, scope: &Scope, text: &str) -> Expr {
    match messages(backend, scope, text, Wanted::Conversation, Page { offset: 0, size: CANDIDATES }) {
        Some(found) => Expr::col((entity::conversation::Entity, entity::conversation::Column::Id)).in_subquery(found),
        None => Expr::val(1).eq(0),
    }
}

/// The ids of contacts that match the text, in no order.
pub fn contacts(backend: DbBackend, account_id: i64, text: &str) -> SelectStatement {
    let text = text.trim();
    let is_short = text.chars().count() < GROUP;
    let id = (contact::Entity, contact::Column::Id);
    let mut found = Query::select();
    found.column(id).and_where(contact::Column::AccountId.eq(account_id)).limit(CANDIDATES);
    match backend {
        DbBackend::Postgres => {
            let like = |pattern: String| Expr::cust_with_values(format!("{POSTGRES_CONTACT} ILIKE $1"), [pattern]);
            let text = escaped(text);
            let matches = match is_short {
                true => Condition::any().add(like(format!("{text}%"))).add(like(format!("%\n{text}%"))).add(like(format!("%\n+{text}%"))),
                false => Condition::any().add(like(format!("%{text}%"))),
            };
            // Apart from the limit, which would make reading all contacts seem cheap.
            found.from(contact::Entity).cond_where(matches).reset_limit().offset(0);
            let mut limited = Query::select();
            limited.column("id").from_subquery(found, "found").limit(CANDIDATES);
            found = limited;
        }
        _ if is_short => {
            found.from(contact::Entity).cond_where(sqlite_beginning(text));
        }
        _ => {
            let same = Expr::col(id).equals(("contacts_text", "rowid"));
            found.from("contacts_text").cross_join(contact::Entity).and_where(same);
            let phrase = format!("\"{}\"", text.replace('"', "\"\""));
            found.and_where(Expr::cust_with_values(r#""contacts_text" MATCH ?"#, [phrase]));
        }
    }
    found
}

/// The conversations that the caller may see whose number the text is, or whose contact matches it; the newest first.
pub fn conversations(backend: DbBackend, scope: &Scope, text: &str, page: Page) -> SelectStatement {
    use entity::conversation::{Column, Entity};
    let of = |condition: Expr| {
        let mut select = Query::select();
        select.columns([Column::Id, Column::InboxId]).from(Entity).and_where(condition);
        select
    };
    // A contact is of one account, so its conversations are as well.
    let mut found = of(Column::ContactId.in_subquery(contacts(backend, scope.account_id, text)));
    if let Ok(number) = text.trim().trim_start_matches('#').parse::<i64>() {
        found.union(UnionType::Distinct, of(Column::AccountId.eq(scope.account_id).and(Column::DisplayId.eq(number))));
    }
    // With a limit of its own the order cannot lead the planner to read all conversations in it.
    found.limit(CANDIDATES);
    let mut select = Query::select();
    select.column(Column::Id).from_subquery(found, "found");
    if let Some(inboxes) = &scope.inboxes {
        select.and_where(Expr::col(Column::InboxId).is_in(inboxes.iter().copied()));
    }
    select.order_by(Column::Id, Order::Desc).limit(page.size).offset(page.offset);
    select
}

/// As the expression and the condition of the index `messages_by_words`.
const POSTGRES_MATCH: &str = concat!(
    r#""messages"."message_type" <> 2 AND to_tsvector('simple', translate(left("messages"."content", 100000), "#,
    r#"'@./-_:+=?&#%~', '             ')) @@ to_tsquery('simple', $1)"#
);
/// As the expression of the index `contacts_by_part`.
const POSTGRES_CONTACT: &str = concat!(
    r#"("contacts"."name" || E'\n' || coalesce("contacts"."email", '') || E'\n' ||"#,
    r#" coalesce("contacts"."phone_number", '') || E'\n' || coalesce("contacts"."identifier", ''))"#
);

/// Letters and digits in a row, as both databases cut texts.
fn words(text: &str) -> Vec<&str> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty()).take(WORDS).collect()
}

fn sqlite_query(words: &[&str]) -> String {
    let each = words.iter().map(|word| if is_open(word) { format!("\"{word}\"*") } else { format!("\"{word}\"") });
    each.collect::<Vec<_>>().join(" ")
}

fn postgres_query(words: &[&str]) -> String {
    let each = words.iter().map(|word| if is_open(word) { format!("'{word}':*") } else { format!("'{word}'") });
    each.collect::<Vec<_>>().join(" & ")
}

/// Whether it also stands for longer words.
fn is_open(word: &str) -> bool {
    word.chars().count() >= GROUP
}

/// Each part is a range of an index.
fn sqlite_beginning(text: &str) -> Condition {
    use contact::Column;
    let column = |column: Column| Expr::col((contact::Entity, column));
    let begins = |expression: Expr, text: &str| {
        let after = format!("{text}{}", char::MAX);
        Condition::all().add(expression.clone().gte(text)).add(expression.lt(after))
    };
    let lower = text.to_lowercase();
    Condition::any()
        .add(begins(sea_orm::sea_query::Func::lower(column(Column::Name)).into(), &lower))
        .add(begins(column(Column::Email), &lower))
        .add(begins(column(Column::PhoneNumber), text))
        .add(begins(column(Column::PhoneNumber), &format!("+{text}")))
        .add(begins(column(Column::Identifier), text))
}

/// A text as it stands in a pattern of `LIKE`.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_words_reaches_the_databases() {
        for (text, sqlite, postgres) in [
            ("refund", "\"refund\"*", "'refund':*"),
            ("  my Refund! ", "\"my\" \"Refund\"*", "'my' & 'Refund':*"),
            ("a\" OR b*", "\"a\" \"OR\" \"b\"", "'a' & 'OR' & 'b'"),
            ("jo@example.com", "\"jo\" \"example\"* \"com\"*", "'jo' & 'example':* & 'com':*"),
            ("it's | ! & :*", "\"it\" \"s\"", "'it' & 's'"),
        ] {
            assert_eq!((sqlite_query(&words(text)).as_str(), postgres_query(&words(text)).as_str()), (sqlite, postgres), "{text}");
        }
        assert!(words(" !?* ").is_empty());
        assert_eq!(escaped(r"50%_\"), r"50\%\_\\");
    }
}
