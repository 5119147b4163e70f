//! Exports contacts to a CSV file.
//!
//! The answer to the request is empty, as the contract has it; the file is found under the address that
//! `GET …/contacts/export` tells, the one of the account's latest export. Nobody is sent a mail: the address opens the file
//! without signing in, so it is told only to administrators who ask.
use super::auth::Administrator;
use super::body::{Body, Request, parse};
use super::contact_transfers::{self, Asked, Outcome};
use super::error::{ApiError, ApiResult};
use super::{fields, filtering, labels};
use crate::reads::filter::Table;
use actix_web::{HttpResponse, web};
use actors::system::Handles;
use actors::wire::iso;
use entity::contact_transfer::{self, Direction};
use entity::{account, contact, contact_label};
use sea_orm::sea_query::Query;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;
use utoipa::ToSchema;

/// How many contacts are read at once.
const PAGE: u64 = 500;
/// The columns of a file for which none are named.
const USUAL: &[&str] = &["id", "name", "email", "phone_number"];

/// Which contacts, and what of them.
#[derive(Deserialize, ToSchema)]
pub struct Export {
    /// `id`, `name`, `email`, `phone_number`, `identifier`, `blocked`, `created_at`, `last_activity_at`, or names of attributes.
    #[serde(default)]
    column_names: Option<Vec<String>>,
    /// Only contacts with this label.
    #[serde(default, deserialize_with = "fields::text")]
    label: Option<String>,
    /// Only contacts that match these filters, which are those of `contacts/filter`.
    #[serde(default)]
    #[schema(value_type = Option<Vec<Object>>)]
    payload: Option<Value>,
}

impl Request for Export {}

/// Exports the contacts of whom something is known. Small exports are done with the answer.
#[utoipa::path(post, path = "", tag = "Contacts", request_body = Export, responses((status = 200, description = "begun"), (status = 422, description = "a field is wrong")))]
pub async fn start(handles: web::Data<Handles>, admin: Administrator, body: Body<Export>) -> ApiResult<HttpResponse> {
    let Administrator(agent) = admin;
    let Export { column_names, label, payload } = body.value;
    if let Some(payload) = &payload {
        filtering::compile(&handles, agent.account.id, Table::Contacts, payload).await?;
    }
    let columns = column_names.filter(|names| !names.is_empty()).unwrap_or_else(|| USUAL.iter().map(|name| (*name).to_owned()).collect());
    if columns.len() > 100 || columns.iter().any(|name| name.chars().count() > 255) {
        return Err(ApiError::invalid("column_names", "column_names: at most 100 names of at most 255 characters"));
    }
    let label = labels::titles(&label.into_iter().collect::<Vec<_>>())?.pop();
    let asked = Asked {
        author: agent.author(),
        user_id: agent.user.row.id,
        direction: Direction::Export,
        options: json!({ "columns": columns, "label": label, "payload": payload }),
        source_blob_id: None,
    };
    contact_transfers::begin(&handles, asked).await
}

/// The latest export: whether it is done, and where its file is.
#[utoipa::path(get, path = "", tag = "Contacts", responses((status = 200, description = "payload: status, rows_done, file_url"), (status = 404, description = "none yet")))]
pub async fn show(handles: web::Data<Handles>, admin: Administrator) -> ApiResult<HttpResponse> {
    contact_transfers::latest(&handles, admin.0.account.id, Direction::Export).await
}

#[derive(Deserialize)]
struct Options {
    columns: Vec<String>,
    label: Option<String>,
    #[serde(default)]
    payload: Option<Value>,
}

/// Writes the file.
///
/// # Errors
/// If the database fails.
pub async fn run(handles: &Handles, account: &account::Model, transfer: &contact_transfer::Model) -> ApiResult<Outcome> {
    let Options { columns, label, payload } = parse(&transfer.options)?;
    let mut wanted = Condition::all().add(contact::Column::AccountId.eq(account.id)).add(
        Condition::any()
            .add(contact::Column::Email.is_not_null())
            .add(contact::Column::PhoneNumber.is_not_null())
            .add(contact::Column::Identifier.is_not_null()),
    );
    if let Some(label) = label {
        let labelled = Query::select()
            .column(contact_label::Column::ContactId)
            .from(contact_label::Entity)
            .and_where(contact_label::Column::AccountId.eq(account.id))
            .and_where(contact_label::Column::Title.eq(label))
            .take();
        wanted = wanted.add(contact::Column::Id.in_subquery(labelled));
    }
    if let Some(payload) = payload {
        wanted = wanted.add(filtering::compile(handles, account.id, Table::Contacts, &payload).await?);
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns.iter().map(|name| guarded(name, name).into_owned())).map_err(ApiError::failed)?;
    let (mut after, mut done) = (0, 0);
    loop {
        let page = contact::Entity::find().filter(wanted.clone()).filter(contact::Column::Id.gt(after));
        let page = page.order_by_asc(contact::Column::Id).limit(PAGE).all(&handles.db.read).await?;
        let Some(last) = page.last() else { break };
        after = last.id;
        for contact in &page {
            let cells = columns.iter().map(|name| guarded(name, &cell(contact, name)).into_owned());
            writer.write_record(cells).map_err(ApiError::failed)?;
            done += 1;
        }
    }
    Ok(Outcome { done, rejected: 0, csv: Some(writer.into_inner().map_err(ApiError::failed)?) })
}

fn cell(contact: &contact::Model, column: &str) -> String {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    match column {
        "id" => contact.id.to_string(),
        "name" => contact.name.clone(),
        "email" => text(&contact.email),
        "phone_number" => text(&contact.phone_number),
        "identifier" => text(&contact.identifier),
        "blocked" => contact.blocked.to_string(),
        "created_at" => iso(contact.created_at),
        "last_activity_at" => contact.last_activity_at.map(iso).unwrap_or_default(),
        name => match contact.additional_attributes.get(name).or_else(|| contact.custom_attributes.get(name)) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        },
    }
}

/// A cell that no spreadsheet takes for a formula, whatever a customer was called. Phone numbers were checked when they came.
fn guarded<'a>(column: &str, cell: &'a str) -> Cow<'a, str> {
    match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && column != "phone_number" {
        true => format!("'{cell}").into(),
        false => cell.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (column, cell, written) in [
            ("name", "=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
            ("name", "@SUM(1)", "'@SUM(1)"),
            ("plan", "+1", "'+1"),
            ("plan", "-1", "'-1"),
            ("plan", "\t=1", "'\t=1"),
            ("phone_number", "+491511", "+491511"),
            ("name", "Ada = Lovelace", "Ada = Lovelace"),
        ] {
            assert_eq!(guarded(column, cell), written);
        }
    }
}
