//! Why the writer did not store a command, told from what the databases say.
use sea_orm::{DbErr, SqlErr};

/// Why a command was not stored.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Another row has this value already: the contract's field name.
    #[error("{0} has already been taken")]
    Taken(&'static str),
    /// Somebody else was faster; ask again.
    #[error("the row was changed meanwhile: {0}")]
    Conflict(String),
    /// The contact that it is about was removed, or merged into another one.
    #[error("the contact is not there any more")]
    Gone,
    /// The database will not take it.
    #[error("the database refused it: {0}")]
    Refused(String),
    /// The database failed; whether it was stored is unknown.
    #[error("the database failed: {0}")]
    Database(String),
    /// Whether it was stored is unknown.
    #[error("whoever should have answered is gone")]
    Unanswered,
}

impl From<DbErr> for StoreError {
    fn from(error: DbErr) -> Self {
        // Something that a row belongs to was removed.
        if let Some(SqlErr::ForeignKeyConstraintViolation(_)) = error.sql_err() {
            return StoreError::Gone;
        }
        if let Some(SqlErr::UniqueConstraintViolation(words)) = error.sql_err() {
            let field = |names: &[&str]| names.iter().any(|name| words.contains(name));
            return match () {
                () if field(&["contacts_by_email", "contacts.email"]) => StoreError::Taken("email"),
                () if field(&["contacts_by_phone_number", "contacts.phone_number"]) => StoreError::Taken("phone_number"),
                () if field(&["contacts_by_identifier", "contacts.identifier"]) => StoreError::Taken("identifier"),
                () if field(&["users_by_email", "users.email"]) => StoreError::Taken("email"),
                () if field(&["teams_by_name", "teams.name"]) => StoreError::Taken("name"),
                () if field(&["assignment_policies_by_name", "assignment_policies.name"]) => StoreError::Taken("name"),
                () if field(&["labels_by_title", "labels.title"]) && !field(&["_labels"]) => StoreError::Taken("title"),
                () if field(&["canned_responses_by_code", "canned_responses.short_code"]) => StoreError::Taken("short_code"),
                () if field(&["inboxes_by_channel_key", "inboxes.channel_key"]) => StoreError::Taken("channel"),
                () if field(&["custom_attribute_definitions"]) => StoreError::Taken("attribute_key"),
                () => StoreError::Conflict(words),
            };
        }
        if matches!(error, DbErr::RecordNotFound(_)) {
            return StoreError::Gone;
        }
        let words = error.to_string();
        // PostgreSQL: class 22 is bad data, 23 a violated rule; SQLite: "CHECK constraint failed", "string or blob too big".
        match error_code(&error) {
            Some(code) if code.starts_with("22") || code.starts_with("23") => StoreError::Refused(words),
            _ if words.contains("constraint failed") || words.contains("too big") => StoreError::Refused(words),
            _ => StoreError::Database(words),
        }
    }
}

fn error_code(error: &DbErr) -> Option<String> {
    match error {
        DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error)) | DbErr::Query(sea_orm::RuntimeErr::SqlxError(error)) => {
            error.as_database_error().and_then(|error| error.code()).map(Into::into)
        }
        _ => None,
    }
}
