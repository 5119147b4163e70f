//! `users`: people who sign in. What they may do depends on the account (`account_users`).
use sea_orm::entity::prelude::*;

/// One person who signs in.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Lower case; unique.
    pub email: String,
    pub name: String,
    pub display_name: Option<String>,
    /// An argon2id hash in PHC form; `None` until the invited person has chosen a password.
    pub password_hash: Option<String>,
    pub message_signature: Option<String>,
    pub phone_number: Option<String>,
    pub avatar_blob_id: Option<i64>,
    pub ui_settings: Json,
    pub custom_attributes: Json,
    /// What a websocket presents to hear this user's events.
    pub pubsub_token: String,
    pub confirmed_at: Option<DateTimeUtc>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

impl Model {
    /// The name customers see.
    pub fn available_name(&self) -> &str {
        self.display_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.name)
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
