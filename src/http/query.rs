//! The query of an address: read with the same field types as bodies, a refusal naming the field. `labels[]=a&labels[]=b` is a
//! list; of other names given twice the last one counts.
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

/// The number of a page, from 1 on.
pub fn page<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    match fields::text(deserializer)?.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(|page: u64| Some(page.max(1))).map_err(|_| D::Error::custom("expected the number of a page")),
    }
}

fn object(pairs: Vec<(String, String)>) -> Value {
    let mut object = Map::new();
    for (name, value) in pairs {
        match name.strip_suffix("[]") {
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
        let pairs = [("page", "1"), ("labels[]", "a"), ("labels[]", "b"), ("page", "2")];
        let read = object(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        assert_eq!(read, json!({ "page": "2", "labels": ["a", "b"] }));
    }
}
