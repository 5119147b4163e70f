//! Request bodies: JSON or multipart, with or without the contract's envelope, and every refusal naming its field.
//!
//! Multipart fields have names such as `message[content]` or `custom_attributes[plan]`; they become the same object that a
//! JSON body is, their values texts, which is why the field types in `fields.rs` read texts as well. Files stream to the store.
use super::auth::handles;
use super::error::{ApiError, ApiResult};
use actix_multipart::Multipart;
use actix_web::error::PayloadError;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, dev::Payload, web};
use actors::files::{Stored, Unkept};
use bytes::Bytes;
use futures_util::future::LocalBoxFuture;
use futures_util::{Stream, StreamExt, TryStreamExt};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// How large requests may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body without its files, in bytes.
    pub body: usize,
    /// The largest file, in bytes; the channel's own limit is checked with the message.
    pub file: u64,
}

/// The most parts of a multipart body.
const PART_LIMIT: usize = 200;
/// The most brackets of a field's name, which is as deep as its value lies.
const DEPTH_LIMIT: usize = 8;

/// A request body.
pub struct Body<T> {
    /// What was asked.
    pub value: T,
    /// The files that came along.
    pub files: Vec<UploadedFile>,
    /// The fields as they came, without the envelope.
    pub object: Value,
}

/// A file of a multipart body, stored already; removed again with this value, unless somebody keeps it.
pub struct UploadedFile {
    /// The field's name without brackets at its end.
    pub field: String,
    stored: Stored,
    unkept: Unkept,
}

impl UploadedFile {
    /// What was stored.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// Leaves it in the store: a row names it now, or whoever is given it answers for it.
    pub fn keep(self) -> Stored {
        self.unkept.keep();
        self.stored
    }
}

/// What a body is read into.
pub trait Request: DeserializeOwned + 'static {
    /// The optional envelope: `{"name":…}` and `{"team":{"name":…}}` are the same.
    const ENVELOPE: Option<&'static str> = None;
}

impl<T: Request> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, ApiResult<Self>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            let (object, files) = read(&request, &mut payload).await?;
            let object = without_envelope(object, T::ENVELOPE);
            let object = Value::Object(object);
            let value = parse(&object)?;
            Ok(Body { value, files, object })
        })
    }
}

/// How large requests may be.
///
/// # Errors
/// If the application was put together without limits.
pub fn limits(request: &HttpRequest) -> ApiResult<Limits> {
    request.app_data::<Limits>().copied().ok_or_else(|| ApiError::failed("the application has no limits"))
}

/// Reads a body as it came.
///
/// # Errors
/// 413 if it is larger than this, 400 if it breaks off.
pub async fn collect(mut chunks: impl Stream<Item = Result<Bytes, PayloadError>> + Unpin, limit: usize) -> ApiResult<Bytes> {
    let mut bytes = web::BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| ApiError::malformed(format!("The body broke off: {error}")))?;
        if bytes.len() + chunk.len() > limit {
            return Err(ApiError::too_large(limit as u64));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Reads an object into its type; a refusal names the field.
///
/// # Errors
/// 422.
pub fn parse<T: DeserializeOwned>(object: &Value) -> ApiResult<T> {
    serde_path_to_error::deserialize(object).map_err(|error| {
        let path = error.path().to_string();
        let words = error.into_inner().to_string();
        // serde says "missing field `x`" of the object, not of the field.
        let missing = words.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()).map(str::to_owned);
        match missing {
            Some(field) if path == "." => ApiError::invalid(field.clone(), format!("{field} is missing")),
            Some(field) => ApiError::invalid(format!("{path}.{field}"), format!("{path}.{field} is missing")),
            None => ApiError::invalid(path.clone(), format!("{path}: {words}")),
        }
    })
}

async fn read(request: &HttpRequest, payload: &mut Payload) -> ApiResult<(Map<String, Value>, Vec<UploadedFile>)> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let limits = limits(request)?;
    if content_type.starts_with("multipart/form-data") {
        return read_multipart(request, payload, limits).await;
    }
    let bytes = collect(payload, limits.body).await?;
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok((Map::new(), Vec::new()));
    }
    let object = if content_type.starts_with("application/x-www-form-urlencoded") {
        let text = std::str::from_utf8(&bytes).map_err(|_| ApiError::malformed("The body is not UTF-8"))?;
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|error| ApiError::malformed(format!("The form cannot be read: {error}")))?;
        let mut object = Map::new();
        for (name, value) in pairs.into_inner() {
            insert(&mut object, &path_of(&name)?, Value::String(value));
        }
        object
    } else {
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(object)) => object,
            Ok(_) => return Err(ApiError::malformed("The body is not a JSON object")),
            Err(error) => return Err(ApiError::malformed(format!("The body is not JSON: {error}"))),
        }
    };
    refuse_nul(&object)?;
    Ok((object, Vec::new()))
}

async fn read_multipart(
    request: &HttpRequest,
    payload: &mut Payload,
    limits: Limits,
) -> ApiResult<(Map<String, Value>, Vec<UploadedFile>)> {
    let files_of = handles(request)?.files.clone();
    let broken = |error: actix_multipart::MultipartError| ApiError::malformed(format!("The multipart body cannot be read: {error}"));
    let mut multipart = Multipart::from_request(request, payload).await.map_err(|error| ApiError::malformed(error.to_string()))?;
    let (mut object, mut files, mut parts, mut text_size) = (Map::new(), Vec::new(), 0, 0);
    while let Some(mut field) = multipart.try_next().await.map_err(broken)? {
        parts += 1;
        if parts > PART_LIMIT {
            return Err(ApiError::malformed(format!("The multipart body has more than {PART_LIMIT} parts")));
        }
        let name = field.name().unwrap_or_default().to_owned();
        let path = path_of(&name)?;
        let file_name = field.content_disposition().and_then(|disposition| disposition.get_filename()).map(str::to_owned);
        if let Some(file_name) = file_name {
            let claimed = field.content_type().map(|mime| mime.essence_str().to_owned()).unwrap_or_default();
            // The parts of a body are not Send; what crosses to the store are its chunks.
            let (sender, receiver) = tokio::sync::mpsc::channel::<Result<bytes::Bytes, String>>(4);
            let chunks =
                futures_util::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|chunk| (chunk, receiver)) });
            let storing = files_of.put(&file_name, &claimed, chunks.boxed(), limits.file);
            let reading = async {
                while let Some(chunk) = field.next().await {
                    if sender.send(chunk.map_err(|error| error.to_string())).await.is_err() {
                        break;
                    }
                }
                drop(sender);
            };
            let (stored, ()) = futures_util::future::join(storing, reading).await;
            let stored = stored?;
            let unkept = files_of.unkept(&stored);
            files.push(UploadedFile { field: path.last().cloned().unwrap_or_default(), stored, unkept });
            continue;
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = field.next().await {
            bytes.extend_from_slice(&chunk.map_err(broken)?);
            if text_size + bytes.len() > limits.body {
                return Err(ApiError::too_large(limits.body as u64));
            }
        }
        text_size += bytes.len();
        let text = String::from_utf8(bytes).map_err(|_| ApiError::invalid(name.clone(), format!("{name} is not UTF-8")))?;
        insert(&mut object, &path, Value::String(text));
    }
    refuse_nul(&object)?;
    Ok((object, files))
}

/// `message[items][]` → message, items: a name that comes again makes a list.
fn path_of(name: &str) -> ApiResult<Vec<String>> {
    let mut path = Vec::new();
    for (position, part) in name.split('[').enumerate() {
        let part = part.strip_suffix(']').unwrap_or(part);
        if path.len() == DEPTH_LIMIT {
            let start: String = name.chars().take(40).collect();
            return Err(ApiError::invalid(path.concat(), format!("{start}… is nested more than {DEPTH_LIMIT} deep")));
        }
        if position == 0 || !part.is_empty() {
            path.push(part.to_owned());
        }
    }
    Ok(path)
}

fn insert(object: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        match object.get_mut(first) {
            None => drop(object.insert(first.clone(), value)),
            // The same name again makes a list.
            Some(Value::Array(list)) => list.push(value),
            Some(before) => *before = Value::Array(vec![before.take(), value]),
        }
        return;
    }
    let inner = object.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(inner) = inner {
        insert(inner, rest, value);
    }
}

fn without_envelope(mut object: Map<String, Value>, envelope: Option<&str>) -> Map<String, Value> {
    match envelope.and_then(|name| object.remove_entry(name)) {
        Some((_, Value::Object(inner))) => {
            object.extend(inner);
            object
        }
        Some((name, value)) => {
            object.insert(name, value);
            object
        }
        None => object,
    }
}

/// PostgreSQL has no NUL in texts, so neither database is given one.
fn refuse_nul(object: &Map<String, Value>) -> ApiResult<()> {
    fn find(value: &Value) -> bool {
        match value {
            Value::String(text) => text.contains('\0'),
            Value::Array(list) => list.iter().any(find),
            Value::Object(object) => object.iter().any(|(name, value)| name.contains('\0') || find(value)),
            _ => false,
        }
    }
    match object.iter().find(|(name, value)| name.contains('\0') || find(value)) {
        Some((name, _)) => Err(ApiError::invalid(name.replace('\0', ""), format!("{} contains a NUL character", name.replace('\0', "")))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn bracket_names_become_objects_and_lists() {
        let mut object = Map::new();
        for (name, value) in
            [("content", "hi"), ("message[content]", "a"), ("message[items][]", "1"), ("message[items][]", "2"), ("x[y][z]", "3")]
        {
            insert(&mut object, &path_of(name).unwrap(), Value::String(value.into()));
        }
        assert_eq!(
            Value::Object(object),
            json!({ "content": "hi", "message": { "content": "a", "items": ["1", "2"] }, "x": { "y": { "z": "3" } } })
        );
        assert!(path_of(&format!("a{}", "[b]".repeat(100_000))).is_err(), "as deep as its brackets, it would exhaust the stack");
    }

    #[test]
    fn the_envelope_is_optional() {
        let bare = json!({ "name": "a" }).as_object().cloned().unwrap();
        let wrapped = json!({ "team": { "name": "a" } }).as_object().cloned().unwrap();
        assert_eq!(without_envelope(bare.clone(), Some("team")), bare);
        assert_eq!(without_envelope(wrapped, Some("team")), bare);
        let text = json!({ "message": "hello" }).as_object().cloned().unwrap();
        assert_eq!(without_envelope(text.clone(), Some("message")), text, "a text of the same name is no envelope");
    }
}
