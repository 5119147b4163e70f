//! What lists, counts and searches read, so that none of them scans a table.
//!
//! The lists of conversations page through an index that holds what they filter and sort by, and counts through one that no
//! message touches. Texts are found by a full-text index of each database's own kind, kept by the database itself.
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

pub struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m20261121_000003_reads"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let own = match manager.get_database_backend() {
            DbBackend::Postgres => POSTGRES,
            _ => SQLITE,
        };
        for statement in INDEXES.iter().chain(own) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

/// Both databases understand these as they are.
const INDEXES: &[&str] = &[
    "DROP INDEX conversations_by_activity",
    "CREATE INDEX conversations_by_activity ON conversations (account_id, status, last_activity_at, id, inbox_id, assignee_id, team_id, \
     priority, unread_count, waiting_since, first_reply_created_at, created_at, updated_at)",
    "DROP INDEX conversations_by_team",
    "CREATE INDEX conversations_of_assignee ON conversations (account_id, assignee_id, status, last_activity_at, id, inbox_id, team_id)",
    "DROP INDEX conversations_by_inbox",
    "CREATE INDEX conversations_by_inbox ON conversations (inbox_id, status, last_activity_at, id, assignee_id, team_id)",
    "CREATE INDEX conversations_counted ON conversations (account_id, status, assignee_id, inbox_id, team_id, id)",
    "CREATE INDEX conversations_unattended ON conversations (account_id, status, assignee_id, inbox_id, team_id, id) \
     WHERE first_reply_created_at IS NULL OR waiting_since IS NOT NULL",
    "DROP INDEX messages_by_conversation",
    "CREATE INDEX messages_by_conversation ON messages (conversation_id, id, message_type, private)",
    "CREATE INDEX contacts_known_by_name ON contacts (account_id, lower(name), id) \
     WHERE email IS NOT NULL OR phone_number IS NOT NULL OR identifier IS NOT NULL",
    "CREATE INDEX contacts_known_by_creation ON contacts (account_id, created_at, id) \
     WHERE email IS NOT NULL OR phone_number IS NOT NULL OR identifier IS NOT NULL",
    "DROP INDEX contacts_by_activity",
];

/// Rowids of the full-text tables are the ids of the rows. The view keeps what is never searched out of a rebuild as well.
const SQLITE: &[&str] = &[
    "CREATE INDEX contacts_known_by_activity ON contacts (account_id, last_activity_at, id) \
     WHERE email IS NOT NULL OR phone_number IS NOT NULL OR identifier IS NOT NULL",
    "CREATE INDEX contacts_by_name ON contacts (account_id, lower(name))",
    "CREATE VIEW searched_messages AS SELECT id, content FROM messages WHERE message_type <> 2 AND content IS NOT NULL",
    "CREATE VIRTUAL TABLE messages_text USING fts5(content, content = 'searched_messages', content_rowid = 'id', columnsize = 0)",
    "CREATE TRIGGER messages_text_insert AFTER INSERT ON messages WHEN new.message_type <> 2 AND new.content IS NOT NULL BEGIN \
     INSERT INTO messages_text (rowid, content) VALUES (new.id, new.content); END",
    "CREATE TRIGGER messages_text_forget AFTER UPDATE OF content ON messages \
     WHEN old.message_type <> 2 AND old.content IS NOT NULL AND old.content IS NOT new.content BEGIN \
     INSERT INTO messages_text (messages_text, rowid, content) VALUES ('delete', old.id, old.content); END",
    "CREATE TRIGGER messages_text_update AFTER UPDATE OF content ON messages \
     WHEN new.message_type <> 2 AND new.content IS NOT NULL AND old.content IS NOT new.content BEGIN \
     INSERT INTO messages_text (rowid, content) VALUES (new.id, new.content); END",
    "CREATE TRIGGER messages_text_delete AFTER DELETE ON messages WHEN old.message_type <> 2 AND old.content IS NOT NULL BEGIN \
     INSERT INTO messages_text (messages_text, rowid, content) VALUES ('delete', old.id, old.content); END",
    "CREATE VIRTUAL TABLE contacts_text USING fts5(name, email, phone_number, identifier, content = 'contacts', content_rowid = 'id', \
     columnsize = 0, tokenize = 'trigram')",
    "CREATE TRIGGER contacts_text_insert AFTER INSERT ON contacts BEGIN \
     INSERT INTO contacts_text (rowid, name, email, phone_number, identifier) \
     VALUES (new.id, new.name, new.email, new.phone_number, new.identifier); END",
    "CREATE TRIGGER contacts_text_update AFTER UPDATE OF name, email, phone_number, identifier ON contacts \
     WHEN old.name IS NOT new.name OR old.email IS NOT new.email OR old.phone_number IS NOT new.phone_number \
     OR old.identifier IS NOT new.identifier BEGIN \
     INSERT INTO contacts_text (contacts_text, rowid, name, email, phone_number, identifier) \
     VALUES ('delete', old.id, old.name, old.email, old.phone_number, old.identifier); \
     INSERT INTO contacts_text (rowid, name, email, phone_number, identifier) \
     VALUES (new.id, new.name, new.email, new.phone_number, new.identifier); END",
    "CREATE TRIGGER contacts_text_delete AFTER DELETE ON contacts BEGIN \
     INSERT INTO contacts_text (contacts_text, rowid, name, email, phone_number, identifier) \
     VALUES ('delete', old.id, old.name, old.email, old.phone_number, old.identifier); END",
    "INSERT INTO messages_text (messages_text) VALUES ('rebuild')",
    "INSERT INTO contacts_text (contacts_text) VALUES ('rebuild')",
];

/// Its own parser keeps addresses and paths whole; without their punctuation they are words, as on SQLite. `pg_trgm` comes
/// with the server's contributed modules; where it is missing, searching contacts reads all of the account's.
const POSTGRES: &[&str] = &[
    "CREATE INDEX contacts_known_by_activity ON contacts (account_id, last_activity_at NULLS FIRST, id) \
     WHERE email IS NOT NULL OR phone_number IS NOT NULL OR identifier IS NOT NULL",
    "CREATE INDEX messages_by_words ON messages \
     USING gin (to_tsvector('simple', translate(left(content, 100000), '@./-_:+=?&#%~', '             '))) WHERE message_type <> 2",
    "DO $$ BEGIN \
     CREATE EXTENSION IF NOT EXISTS pg_trgm; \
     CREATE INDEX contacts_by_part ON contacts USING gin \
     ((name || E'\\n' || coalesce(email, '') || E'\\n' || coalesce(phone_number, '') || E'\\n' || coalesce(identifier, '')) gin_trgm_ops); \
     EXCEPTION WHEN insufficient_privilege OR undefined_file OR feature_not_supported THEN \
     RAISE WARNING 'pg_trgm cannot be created (%); searching contacts will read all of an account', SQLERRM; \
     END $$",
];
