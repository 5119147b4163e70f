//! The query of an address: read with the same field types as bodies, a refusal naming the field. `labels[]=a&labels[]=b` is a
//! list, and so is `labels=a` for a name that stands for one; of other names given twice the last one counts.
use super::error::ApiError;
use super::{body, fields};
use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use serde::Deserializer;
use serde::de::{DeserializeOwned, Error as _};
use serde_json::{Map, Value};
use std::future::{Ready, ready};

/// What a request's address asks for.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
            .map_err(|error| ApiError::unprocessable(format!("The query cannot be read: {error}")));
        ready(pairs.and_then(|pairs| body::parse(&object(pairs.into_inner()))).map(Query))
    }
}

/// A parameter of a request's address, for whoever reads no other.
pub fn parameter(request: &HttpRequest, name: &str) -> Option<String> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string()).ok()?;
    pairs.into_inner().into_iter().find(|(given, _)| given == name).map(|(_, value)| value)
}

/// The number of a page, from 1 on.
pub fn page<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match fields::text(deserializer)?.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(|page: u64| Some(page.max(1))).map_err(|_| D::Error::custom("expected the number of a page")),
    }
}

/// Texts of a list; empty ones are none.
pub fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let mut texts = fields::texts(deserializer)?;
    texts.retain(|text| !text.trim().is_empty());
    Ok(texts)
}

/// Names that stand for lists, with brackets or without.
const LISTS: &[&str] = &["labels"];

fn object(pairs: Vec<(String, String)>) -> Value {
    let mut object = Map::new();
    for (name, value) in pairs {
        let list = name.strip_suffix("[]").or_else(|| LISTS.iter().copied().find(|list| *list == name));
        match list {
            None => drop(object.insert(name, Value::String(value))),
            Some(name) => match object.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(list) => list.push(Value::String(value)),
                other => *other = Value::Array(vec![Value::String(value)]),
            },
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_told_from_single_values() {
        let read = |pairs: &[(&str, &str)]| object(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        let pairs = [("page", "1"), ("labels[]", "a"), ("labels[]", "b"), ("page", "2")];
        assert_eq!(read(&pairs), json!({ "page": "2", "labels": ["a", "b"] }));
        assert_eq!(read(&[("labels", "a")]), json!({ "labels": ["a"] }));
        assert_eq!(read(&[("labels", "a"), ("labels[]", "b"), ("labels", "c")]), json!({ "labels": ["a", "b", "c"] }));
    }
}
