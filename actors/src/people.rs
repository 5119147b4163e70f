//! Rows of people who are new, and how those who are known are found.
use crate::db::Db;
use crate::message::{Key, Profile};
use crate::secret::random_token;
use crate::store::StoreError;
use crate::wire::set;
use chrono::{DateTime, Utc};
use entity::{contact, contact_inbox};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter};
use serde_json::{Map, Value, json};

/// The contact of an account that has this identifier, or else this e-mail address, or else this phone number.
pub async fn find_contact(db: &Db, account_id: i64, profile: &Profile) -> Result<Option<contact::Model>, StoreError> {
    let keys = [
        (contact::Column::Identifier, &profile.identifier),
        (contact::Column::Email, &profile.email),
        (contact::Column::PhoneNumber, &profile.phone_number),
    ];
    for (column, value) in keys {
        let Some(value) = value else { continue };
        let condition = Condition::all().add(contact::Column::AccountId.eq(account_id)).add(column.eq(value));
        if let Some(contact) = contact::Entity::find().filter(condition).one(&db.read).await? {
            return Ok(Some(contact));
        }
    }
    Ok(None)
}

/// A contact that is not stored yet.
pub fn new_contact(account_id: i64, profile: &Profile, fallback_name: &str, now: DateTime<Utc>) -> contact::Model {
    contact::Model {
        id: 0,
        account_id,
        name: profile.name.clone().filter(|name| !name.trim().is_empty()).unwrap_or_else(|| fallback_name.to_owned()),
        email: profile.email.clone(),
        phone_number: profile.phone_number.clone(),
        identifier: profile.identifier.clone(),
        blocked: false,
        avatar_blob_id: None,
        avatar_url: None,
        additional_attributes: Value::Object(profile.attributes.clone()),
        custom_attributes: json!({}),
        last_activity_at: None,
        created_at: now,
        updated_at: now,
    }
}

/// A contact who has written in an inbox, with what the message tells of it: gaps are filled, what the provider tells beside is kept
/// as it is now, and whoever writes can be reached.
pub fn heard_from(before: &contact::Model, inbox_id: i64, source_id: &str, profile: &Profile, now: DateTime<Utc>) -> contact::Model {
    let mut after = reached(before, inbox_id, None, now);
    let is_unnamed = before.name.trim().is_empty() || before.name == source_id;
    if let Some(name) = profile.name.as_ref().filter(|name| is_unnamed && !name.trim().is_empty()) {
        after.name = name.clone();
    }
    after.email = before.email.clone().or_else(|| profile.email.clone());
    after.phone_number = before.phone_number.clone().or_else(|| profile.phone_number.clone());
    for (name, value) in &profile.attributes {
        set(&mut after.additional_attributes, name, value.clone());
    }
    after
}

/// Where a contact keeps why it cannot be reached, by inbox.
const UNREACHABLE: &str = "unreachable";

/// Whether nobody has told that a contact cannot be reached somewhere.
pub fn is_reachable(contact: &contact::Model) -> bool {
    contact.additional_attributes.get(UNREACHABLE).is_none()
}

/// A contact who can be reached in an inbox, or cannot, for a reason.
pub fn reached(before: &contact::Model, inbox_id: i64, reason: Option<&str>, now: DateTime<Utc>) -> contact::Model {
    let known: Map<String, Value> = before.additional_attributes.get(UNREACHABLE).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut unreachable = known.clone();
    match reason {
        Some(reason) => drop(unreachable.insert(inbox_id.to_string(), reason.into())),
        None => drop(unreachable.remove(&inbox_id.to_string())),
    }
    let mut after = contact::Model { updated_at: now, ..before.clone() };
    if unreachable.is_empty() {
        if let Value::Object(attributes) = &mut after.additional_attributes {
            attributes.remove(UNREACHABLE);
        }
    } else if unreachable != known {
        set(&mut after.additional_attributes, UNREACHABLE, Value::Object(unreachable));
    }
    after
}

/// An identity that is not stored yet.
pub fn new_identity(key: &Key, now: DateTime<Utc>) -> contact_inbox::Model {
    contact_inbox::Model {
        id: 0,
        contact_id: 0,
        inbox_id: key.inbox_id,
        source_id: key.source_id.clone(),
        hmac_verified: false,
        pubsub_token: random_token(),
        created_at: now,
        updated_at: now,
    }
}

/// A name for somebody of whom nothing is known: two words, as the contract's anonymous contacts have.
pub fn random_name() -> String {
    const FIRST: [&str; 16] = [
        "Amber", "Blue", "Calm", "Dawn", "Early", "Fresh", "Green", "Happy", "Ivory", "Jolly", "Kind", "Lively", "Misty", "Noble", "Quiet",
        "Silver",
    ];
    const SECOND: [&str; 16] = [
        "Badger", "Brook", "Cedar", "Falcon", "Field", "Harbor", "Heron", "Island", "Lake", "Maple", "Meadow", "Otter", "River", "Sparrow",
        "Stone", "Willow",
    ];
    let pick = |words: &[&'static str; 16]| words.get(rand::random_range(0..words.len())).copied().unwrap_or_default();
    format!("{} {}", pick(&FIRST), pick(&SECOND))
}
