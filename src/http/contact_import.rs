//! Imports contacts from a CSV file.
//!
//! The columns `name`, `email`, `phone_number` and `identifier` are the contact's own; company, place and description become
//! additional attributes, `id` is passed over, and every other column is a custom attribute. A row belongs to the contact that
//! has its identifier, else its e-mail address, else its phone number; there it changes what its cells name, and an empty cell
//! changes nothing. Rows that name none of the three are rejected: they could not be told from one another. Rejected rows are
//! collected, with the reason, in a file that `GET …/contacts/import` names.
use super::auth::Administrator;
use super::body::{Body, Request};
use super::contact_transfers::{self, Asked, Outcome};
use super::contacts::{check_length, checked_email, checked_phone_number};
use super::error::{ApiError, ApiResult};
use super::fields::attribute_refusal;
use super::uploads;
use actix_web::{HttpResponse, web};
use actors::contacts::{Update, Wanted};
use actors::message::Profile;
use actors::people::find_contact;
use actors::store::StoreError;
use actors::system::Handles;
use entity::contact_transfer::{self, Direction};
use entity::{account, blob};
use futures_util::future::join_all;
use sea_orm::EntityTrait;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use utoipa::ToSchema;

/// The largest file: it is read into memory.
const LIMIT: i64 = 64 << 20;
/// The most columns of a file.
const COLUMNS: usize = 100;
/// So many rows at once.
const AT_ONCE: usize = 32;
/// Columns that are additional attributes.
const ADDITIONAL: &[&str] = &["company_name", "city", "country", "country_code", "description"];

/// A form with the part `import_file`.
#[derive(Deserialize, ToSchema)]
pub struct Import {}

impl Request for Import {}

/// Imports contacts. Small files are done with the answer; larger ones go on beside it.
#[utoipa::path(post, path = "", tag = "Contacts", request_body(content = Import, content_type = "multipart/form-data"), responses((status = 200, description = "begun"), (status = 422, description = "no file, or no CSV")))]
pub async fn start(handles: web::Data<Handles>, admin: Administrator, body: Body<Import>) -> ApiResult<HttpResponse> {
    let Administrator(agent) = admin;
    let file = body.files.into_iter().find(|file| file.field == "import_file");
    let file = file.ok_or_else(|| ApiError::invalid("import_file", "import_file is missing"))?;
    columns_of(&handles, &file.stored().key, file.stored().byte_size).await?;
    let source = uploads::store(&handles.db.write, agent.account.id, None, file).await?.id;
    let asked = Asked {
        account_id: agent.account.id,
        user_id: agent.user.row.id,
        direction: Direction::Import,
        options: json!({}),
        source_blob_id: Some(source),
    };
    contact_transfers::begin(&handles, asked).await
}

/// What became of the latest import.
#[utoipa::path(get, path = "", tag = "Contacts", responses((status = 200, description = "payload: status, rows_done, rows_rejected, file_url of the rejected rows"), (status = 404, description = "none yet")))]
pub async fn show(handles: web::Data<Handles>, admin: Administrator) -> ApiResult<HttpResponse> {
    contact_transfers::latest(&handles, admin.0.account.id, Direction::Import).await
}

async fn columns_of(handles: &Handles, key: &str, size: i64) -> ApiResult<()> {
    if size > LIMIT {
        return Err(ApiError::invalid("import_file", format!("import_file is larger than {} MB", LIMIT >> 20)));
    }
    columns(&mut reader(&handles.files.bytes(key).await?)).map(|_| ())
}

/// Imports the rows of a file, each in the order of the file where several are about one person. Rows about different people
/// go together, so that their commits share transactions.
///
/// # Errors
/// If the file cannot be read, or the store fails.
pub async fn run(handles: &Handles, account: &account::Model, transfer: &contact_transfer::Model) -> ApiResult<Outcome> {
    let source = transfer.source_blob_id.unwrap_or_default();
    let source = blob::Entity::find_by_id(source).one(&handles.db.read).await?.ok_or_else(ApiError::not_found)?;
    let bytes = handles.files.bytes(&source.key).await?;
    let mut reader = reader(&bytes);
    let mut report = Report { columns: columns(&mut reader)?, outcome: Outcome::default(), rejected: csv::Writer::from_writer(Vec::new()) };
    let (mut batch, mut keys) = (Vec::new(), HashSet::new());
    for record in reader.byte_records() {
        let record = record.map_err(|error| ApiError::unprocessable(format!("import_file cannot be read: {error}")))?;
        let person = match std::str::from_utf8(record.as_slice()) {
            Ok(_) => person(&report.columns, &record),
            Err(_) => Err(ApiError::unprocessable("is not UTF-8")),
        };
        let person = match person {
            Ok(person) => person,
            Err(refused) => {
                report.take(&record, Err(refused))?;
                continue;
            }
        };
        let own = person.keys();
        if batch.len() == AT_ONCE || own.iter().any(|key| keys.contains(key)) {
            import_all(handles, account, &mut batch, &mut report).await?;
            keys.clear();
        }
        keys.extend(own);
        batch.push((record, person));
    }
    import_all(handles, account, &mut batch, &mut report).await?;
    let Report { mut outcome, rejected, .. } = report;
    if outcome.rejected > 0 {
        outcome.csv = Some(rejected.into_inner().map_err(ApiError::failed)?);
    }
    Ok(outcome)
}

/// What became of the rows so far.
struct Report {
    columns: Vec<String>,
    outcome: Outcome,
    rejected: csv::Writer<Vec<u8>>,
}

impl Report {
    fn take(&mut self, record: &csv::ByteRecord, imported: ApiResult<()>) -> ApiResult<()> {
        match imported {
            Ok(()) => self.outcome.done += 1,
            Err(error) if error.status().is_server_error() => return Err(error),
            Err(error) => {
                if self.outcome.rejected == 0 {
                    self.rejected.write_record(self.columns.iter().map(String::as_str).chain(["errors"])).map_err(ApiError::failed)?;
                }
                self.outcome.rejected += 1;
                let cells = (0..self.columns.len()).map(|position| record.get(position).unwrap_or_default());
                self.rejected.write_record(cells.chain([error.to_string().as_bytes()])).map_err(ApiError::failed)?;
            }
        }
        Ok(())
    }
}

async fn import_all(
    handles: &Handles,
    account: &account::Model,
    batch: &mut Vec<(csv::ByteRecord, Person)>,
    report: &mut Report,
) -> ApiResult<()> {
    let (records, people): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
    let imported = join_all(people.into_iter().map(|person| import(handles, account, person))).await;
    records.iter().zip(imported).try_for_each(|(record, imported)| report.take(record, imported))
}

fn reader(bytes: &[u8]) -> csv::Reader<&[u8]> {
    // What spreadsheets put before UTF-8.
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(bytes)
}

/// The names of the columns, in lower case.
fn columns(reader: &mut csv::Reader<&[u8]>) -> ApiResult<Vec<String>> {
    let refused = |words: String| ApiError::invalid("import_file", format!("import_file {words}"));
    let headers = reader.headers().map_err(|error| refused(format!("is no CSV in UTF-8: {error}")))?;
    let columns: Vec<String> = headers.iter().map(str::to_lowercase).collect();
    if columns.len() > COLUMNS {
        return Err(refused(format!("has more than {COLUMNS} columns")));
    }
    if columns.iter().any(|name| name.contains('\0') || name.chars().count() > 255) {
        return Err(refused("has a column whose name is too long or contains a NUL character".to_owned()));
    }
    match columns.iter().any(|name| ["email", "phone_number", "identifier"].contains(&name.as_str())) {
        true => Ok(columns),
        false => Err(refused("has none of the columns email, phone_number and identifier".to_owned())),
    }
}

/// A row, read.
#[derive(Debug, Default)]
struct Person {
    profile: Profile,
    additional_attributes: Map<String, Value>,
    custom_attributes: Map<String, Value>,
}

impl Person {
    /// What nobody else of a batch may name.
    fn keys(&self) -> Vec<String> {
        let named = [("email", &self.profile.email), ("phone", &self.profile.phone_number), ("identifier", &self.profile.identifier)];
        named.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?))).collect()
    }
}

fn person(columns: &[String], record: &csv::ByteRecord) -> ApiResult<Person> {
    let mut person = Person::default();
    for (name, cell) in columns.iter().zip(record) {
        let cell = String::from_utf8_lossy(cell);
        let cell = contact_value(&cell);
        if cell.is_empty() {
            continue;
        }
        if cell.contains('\0') {
            return Err(ApiError::unprocessable(format!("{name} contains a NUL character")));
        }
        check_length(name, Some(cell))?;
        match name.as_str() {
            "" | "id" => {}
            "name" => person.profile.name = Some(cell.to_owned()),
            "email" => person.profile.email = Some(checked_email(cell)?),
            "phone_number" => person.profile.phone_number = Some(checked_phone_number(cell)?),
            "identifier" => person.profile.identifier = Some(cell.to_owned()),
            name => {
                let value = Value::String(cell.to_owned());
                if let Some(words) = attribute_refusal(&value) {
                    return Err(ApiError::unprocessable(format!("{name} {words}")));
                }
                let attributes = if ADDITIONAL.contains(&name) { &mut person.additional_attributes } else { &mut person.custom_attributes };
                attributes.insert(name.to_owned(), value);
            }
        }
    }
    let profile = &person.profile;
    if profile.email.is_none() && profile.phone_number.is_none() && profile.identifier.is_none() {
        return Err(ApiError::unprocessable("one of email, phone_number and identifier is needed"));
    }
    Ok(person)
}

/// A cell without the mark that keeps spreadsheets from calculating it.
fn contact_value(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|rest| rest.starts_with(['=', '+', '-', '@'])).unwrap_or(cell)
}

async fn import(handles: &Handles, account: &account::Model, person: Person) -> ApiResult<()> {
    let Person { profile, additional_attributes, custom_attributes } = person;
    let mut tries = 0;
    loop {
        tries += 1;
        let stored = match find_contact(&handles.db, account.id, &profile).await? {
            Some(contact) => {
                let update = Update {
                    name: profile.name.clone(),
                    email: profile.email.clone().map(Some),
                    phone_number: profile.phone_number.clone().map(Some),
                    identifier: profile.identifier.clone().map(Some),
                    additional_attributes: additional_attributes.clone(),
                    custom_attributes: custom_attributes.clone(),
                    ..Update::default()
                };
                handles.contacts.update(account, contact, update).await.map(|_| ())
            }
            None => {
                let wanted = Wanted {
                    profile: profile.clone(),
                    additional_attributes: additional_attributes.clone(),
                    custom_attributes: custom_attributes.clone(),
                    ..Wanted::default()
                };
                handles.contacts.create(account, &wanted).await.map(|_| ())
            }
        };
        match stored {
            // Somebody else created, removed or merged it at the same time.
            Err(StoreError::Taken(_) | StoreError::Gone) if tries < 3 => {}
            stored => return Ok(stored?),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(csv: &str) -> ApiResult<Person> {
        let mut reader = reader(csv.as_bytes());
        let columns = columns(&mut reader)?;
        person(&columns, &reader.byte_records().next().unwrap().unwrap())
    }

    #[test]
    fn columns_go_where_they_belong() {
        let read = read("\u{feff}ID,Name,Email,city,Plan,empty\n7, Ada ,ADA@example.com,Berlin,'=gold,\n").unwrap();
        assert_eq!((read.profile.name.as_deref(), read.profile.email.as_deref()), (Some("Ada"), Some("ada@example.com")));
        assert_eq!(Value::Object(read.additional_attributes), json!({ "city": "Berlin" }));
        assert_eq!(Value::Object(read.custom_attributes), json!({ "plan": "=gold" }));
    }

    #[test]
    fn rows_and_files_that_cannot_be_told_apart_are_refused() {
        for (csv, words) in [
            ("name,plan\nAda,x\n", "none of the columns"),
            ("", "none of the columns"),
            ("name,email\nAda,\n", "one of email"),
            ("email\nnobody\n", "Email is invalid"),
            ("phone_number\n0151\n", "e164"),
        ] {
            let error = read(csv).unwrap_err().to_string();
            assert!(error.contains(words), "{csv:?}: {error}");
        }
        assert!(read(&format!("email,plan\na@b.c,{}\n", "x".repeat(1500))).unwrap_err().to_string().contains("plan must be shorter"));
    }
}
