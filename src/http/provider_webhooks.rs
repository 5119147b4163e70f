//! Where providers push what happens: `/webhooks/{kind}/{address}` (contract, section 10).
//!
//! A request is for the inboxes that it names, and each of them checks the signature with its own secret: Meta has one address for
//! all numbers of an app, so what comes to the address of one number may tell of others. One that names nobody is for the inbox of
//! the address, as is the handshake. An address that nobody has is 404, whoever is named.
//!
//! Whatever is answered but 200, the provider repeats, and who has stored it already notices; so a request that one of several
//! inboxes could not take is refused whole. An inbox that is switched off answers 503: providers keep what was not taken for a day
//! or longer, and it may be switched on again.
use super::ask::ask;
use super::auth::handles;
use super::body;
use super::error::{ApiError, ApiResult};
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::catalog::Inbox;
use actors::channel::request::{Answer, WebhookRequest};
use actors::channel::{ChannelError, ChannelSettings, addressees};
use actors::inbox::Push;
use actors::supervisor::Find;
use actors::system::Handles;
use futures_util::future::join_all;
use std::sync::Arc;

/// The largest request of a provider.
const BODY_LIMIT: usize = 8 << 20;

/// Takes what a provider pushes, or answers its handshake.
#[utoipa::path(post, path = "", tag = "Providers", responses(
    (status = 200, description = "taken, in the provider's form"),
    (status = 401, description = "not signed by the provider"),
    (status = 404, description = "no inbox has this address"),
    (status = 503, description = "not stored: to be sent again"),
))]
pub async fn receive(request: HttpRequest, path: web::Path<(String, String)>, payload: web::Payload) -> ApiResult<HttpResponse> {
    let (handles, (kind, address)) = (handles(&request)?, path.into_inner());
    let taken = take(&handles, &request, &kind, &address, payload).await;
    let result = match &taken {
        Ok(_) => "taken",
        Err(error) => match error.status() {
            StatusCode::UNAUTHORIZED => "refused",
            StatusCode::NOT_FOUND => "unknown",
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            _ => "failed",
        },
    };
    // A word that anybody can invent is no label.
    let kind = ChannelSettings::KINDS.iter().find(|known| **known == kind).copied().unwrap_or("unknown");
    metrics::counter!("konversio_provider_webhooks_total", "kind" => kind, "result" => result).increment(1);
    let answer = taken?;
    let status = StatusCode::from_u16(answer.status).map_err(ApiError::failed)?;
    Ok(HttpResponse::build(status).content_type(answer.content_type).body(answer.body))
}

async fn take(handles: &Handles, request: &HttpRequest, kind: &str, address: &str, payload: web::Payload) -> ApiResult<Answer> {
    let at_address = handles.catalog.now().inboxes_at(kind, address);
    if at_address.is_empty() {
        return Err(ApiError::not_found());
    }
    let request = WebhookRequest {
        method: request.method().to_string(),
        url: format!("{}{}", handles.tools.public_url, request.uri()),
        query: pairs(request.query_string()),
        headers: headers(request),
        body: body::collect(payload, BODY_LIMIT).await?,
    };
    let named = handles.catalog.now().inboxes_addressed(kind, &addressees(kind, &request));
    // Two inboxes may claim one telephone number; it is whose secret fits.
    let (inboxes, all_must_take) = if named.is_empty() { (at_address, false) } else { (named, true) };
    let answers = join_all(inboxes.iter().map(|inbox| push(handles, inbox, request.clone()))).await;
    decided(answers, all_must_take)
}

async fn push(handles: &Handles, inbox: &Arc<Inbox>, request: WebhookRequest) -> ApiResult<Answer> {
    let id = inbox.row.id;
    let Some(actor) = ask(&handles.supervisor, Find(id)).await? else {
        return Err(ApiError::unavailable(format!("inbox {id} takes nothing: it is switched off, or ends and begins again")));
    };
    match ask(&actor, Push(request)).await? {
        Ok(answer) => Ok(answer),
        Err(ChannelError::Rejected(words)) => {
            tracing::warn!(inbox.id = id, reason = words, "a webhook request was refused: nothing of it is stored");
            Err(ApiError::unauthorized(words))
        }
        Err(error) => Err(ApiError::unavailable(format!("storing what the provider of inbox {id} pushed: {error}"))),
    }
}

/// What the provider hears of several inboxes: where all must take it, what the first says that did not; where one is enough, what
/// it says that did.
fn decided(mut answers: Vec<ApiResult<Answer>>, all_must_take: bool) -> ApiResult<Answer> {
    let decisive = answers.iter().position(|answer| answer.is_ok() != all_must_take).unwrap_or_default();
    if decisive < answers.len() { answers.swap_remove(decisive) } else { Err(ApiError::not_found()) }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    web::Query::<Vec<(String, String)>>::from_query(query).map(web::Query::into_inner).unwrap_or_default()
}

fn headers(request: &HttpRequest) -> Vec<(String, String)> {
    let text = |value: &actix_web::http::header::HeaderValue| value.to_str().ok().map(str::to_owned);
    request.headers().iter().filter_map(|(name, value)| Some((name.as_str().to_lowercase(), text(value)?))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn several_inboxes_give_one_answer() {
        let taken = || Ok(Answer { body: "taken".into(), ..Answer::default() });
        let refused = || Err(ApiError::unauthorized("no"));
        let busy = || Err(ApiError::unavailable("busy"));
        let status = |answer: ApiResult<Answer>| answer.map_or_else(|error| error.status().as_u16(), |answer| answer.status);
        for (answers, all_must_take, expected) in [
            (vec![taken()], true, 200),
            (vec![taken(), taken()], true, 200),
            (vec![taken(), refused()], true, 401),
            (vec![taken(), busy()], true, 503),
            (vec![refused(), taken()], false, 200),
            (vec![refused()], false, 401),
            (vec![busy()], false, 503),
            (vec![], false, 404),
        ] {
            let shown = format!("{answers:?} {all_must_take}");
            assert_eq!(status(decided(answers, all_must_take)), expected, "{shown}");
        }
    }
}
