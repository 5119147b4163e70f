//! The pages that people see without signing in: the loader that a website embeds, the widget in its frame, and the survey. They
//! are built from `web/widget` into the binary; a debug build reads them from the folder, so that it needs not be built again.
//!
//! A page runs only the scripts that it was sent with: each answer has a nonce of its own in its policy, and what a file of the
//! daemon's own origin says is never run (Content Security Policy Level 3, section 7.1).
use super::error::{ApiError, ApiResult};
use super::query::parameter;
use super::throttle::Throttle;
use super::visitors::{Visitor, Website};
use super::widget_settings::{channel, global};
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use actors::channel::ChannelSettings;
use actors::conversation::rules::survey_locale;
use actors::system::Handles;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use entity::conversation;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::Embed;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::Write;
use std::sync::{LazyLock, Mutex, PoisonError};

#[derive(Embed)]
#[folder = "web/widget/dist"]
struct Built;

const LOADER: &str = "sdk.js";
const PAGE: &str = "index.html";
/// Changes of the loader reach every site within an hour; meanwhile the old one is good enough.
const LOADER_CACHED: &str = "public, max-age=3600, stale-while-revalidate=86400";
/// The names of these files change with what is in them.
const ASSETS_CACHED: &str = "public, max-age=31536000, immutable";

/// The loader that websites embed.
#[utoipa::path(get, path = "", tag = "Widget", responses((status = 200, description = "a script"), (status = 503, description = "the daemon was built without its pages")))]
pub async fn loader(request: HttpRequest) -> ApiResult<HttpResponse> {
    let file = Built::get(LOADER).ok_or_else(not_built)?;
    let etag = format!("\"{}\"", hex::encode(file.metadata.sha256_hash()));
    let is_known = request.headers().get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == etag.as_bytes());
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::CONTENT_TYPE, "text/javascript; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, LOADER_CACHED))
        .insert_header((header::ETAG, etag))
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header(("cross-origin-resource-policy", "cross-origin"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    Ok(if is_known { response.finish() } else { sent(&request, response, file.data.into_owned(), Some(file.metadata.sha256_hash())) })
}

/// A file of the widget's page.
#[utoipa::path(get, path = "", tag = "Widget", responses((status = 200, description = "the file"), (status = 404, description = "no such file")))]
pub async fn asset(request: HttpRequest, path: web::Path<String>) -> ApiResult<HttpResponse> {
    let name = format!("assets/{path}");
    let file = Built::get(&name).filter(|_| is_plain(&path)).ok_or_else(ApiError::not_found)?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, content_type(&name)))
        .insert_header((header::CACHE_CONTROL, ASSETS_CACHED))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    Ok(sent(&request, response, file.data.into_owned(), Some(file.metadata.sha256_hash())))
}

/// The widget's page, with the visitor's token in it: the same one for as long as it is good.
#[utoipa::path(get, path = "", tag = "Widget", responses((status = 200, description = "the page"), (status = 404, description = "no such website"), (status = 503, description = "the daemon was built without its pages")))]
pub async fn widget(handles: web::Data<Handles>, website: Website, throttle: Throttle, request: HttpRequest) -> ApiResult<HttpResponse> {
    let template = template()?;
    let visitor = Visitor::find_or_create(&handles, &throttle, &website, parameter(&request, "cw_conversation").as_deref()).await?;
    let boot = json!({
        "channel": channel(&handles, &website),
        "authToken": visitor.token,
        "pubsubToken": visitor.identity.pubsub_token,
        "globalConfig": global(),
    });
    let ancestors = website.settings().frame_ancestors().map_err(ApiError::failed)?;
    let ancestors = (!ancestors.is_empty()).then(|| ancestors.join(" "));
    Ok(page(&request, &handles.tools.public_url, &template, &boot, ancestors.as_deref()))
}

/// The page on which a conversation is rated. Whether there is such a conversation it asks itself.
#[utoipa::path(get, path = "", tag = "Widget", responses((status = 200, description = "the page"), (status = 503, description = "the daemon was built without its pages")))]
pub async fn survey(handles: web::Data<Handles>, request: HttpRequest, path: web::Path<String>) -> ApiResult<HttpResponse> {
    let template = template()?;
    let mut survey = json!({ "uuid": *path });
    if let Ok(uuid) = path.parse::<uuid::Uuid>()
        && let Some(row) = conversation::Entity::find().filter(conversation::Column::Uuid.eq(uuid)).one(&handles.db.read).await?
        && let Some(inbox) = handles.catalog.now().inbox(row.inbox_id)
    {
        actors::wire::set(&mut survey, "locale", survey_locale(inbox).into());
        if let ChannelSettings::WebWidget(settings) = &inbox.settings {
            actors::wire::set(&mut survey, "color", settings.widget_color.clone().into());
        }
    }
    let boot = json!({ "survey": survey, "globalConfig": global() });
    Ok(page(&request, &handles.tools.public_url, &template, &boot, Some("'none'")))
}

fn not_built() -> ApiError {
    const WORDS: &str = "This daemon was built without its pages. Install Node.js 20.19 or later, run `make web`, and build it again; \
                         everything else works";
    ApiError::absent(WORDS)
}

fn template() -> ApiResult<String> {
    let file = Built::get(PAGE).ok_or_else(not_built)?;
    String::from_utf8(file.data.into_owned()).map_err(ApiError::failed)
}

/// No way out of the folder.
fn is_plain(name: &str) -> bool {
    !name.contains(['/', '\\']) && !name.starts_with('.')
}

fn content_type(name: &str) -> String {
    match mime_guess::from_path(name).first_raw().unwrap_or("application/octet-stream") {
        kind @ ("text/javascript" | "text/css") => format!("{kind}; charset=utf-8"),
        kind => kind.to_owned(),
    }
}

/// A page with its data in it.
fn page(request: &HttpRequest, public_url: &str, template: &str, boot: &Value, frame_ancestors: Option<&str>) -> HttpResponse {
    let nonce = STANDARD.encode(rand::random::<[u8; 16]>());
    // Within a script no other character could end it.
    let boot = boot.to_string().replace('<', "\\u003c");
    let html = template.replace("__NONCE__", &nonce).replacen("__BOOT__", &boot, 1);
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    if let Ok(policy) = HeaderValue::from_str(&policy(&nonce, public_url, frame_ancestors)) {
        response.insert_header((header::CONTENT_SECURITY_POLICY, policy));
    }
    sent(request, response, html.into_bytes(), None)
}

fn policy(nonce: &str, public_url: &str, frame_ancestors: Option<&str>) -> String {
    let (scheme, host) = public_url.split_once("://").unwrap_or(("https", public_url));
    let host = host.split('/').next().unwrap_or_default();
    // Without TLS of its own, the pictures of other hosts may have none either.
    let (socket, pictures) = if scheme == "https" { ("wss", "https:") } else { ("ws", "http: https:") };
    let mut policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}' 'strict-dynamic'; style-src 'self'; img-src 'self' {pictures} blob:; \
         media-src 'self' {pictures} blob:; font-src 'self'; connect-src 'self' {socket}://{host}; base-uri 'none'; form-action 'none'; \
         require-trusted-types-for 'script'; trusted-types svelte-trusted-html"
    );
    if let Some(ancestors) = frame_ancestors {
        policy.push_str("; frame-ancestors ");
        policy.push_str(ancestors);
    }
    policy
}

/// Answers with a body, compressed where the client takes that: files once and as well as can be, by the hash of what is in them.
fn sent(request: &HttpRequest, mut response: HttpResponseBuilder, body: Vec<u8>, hash: Option<[u8; 32]>) -> HttpResponse {
    response.insert_header((header::VARY, "Accept-Encoding"));
    let accepted = request.headers().get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let codings = accepted.split(',').filter_map(|coding| coding.split(';').next());
    if !codings.into_iter().any(|coding| coding.trim() == "gzip") {
        return response.body(body);
    }
    let compressed = match hash {
        None => gzip(&body, Compression::fast()),
        Some(hash) => {
            static KEPT: LazyLock<Mutex<HashMap<[u8; 32], web::Bytes>>> = LazyLock::new(Mutex::default);
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get(&hash).cloned().or_else(|| {
                let bytes = gzip(&body, Compression::best())?;
                kept.insert(hash, bytes.clone());
                Some(bytes)
            })
        }
    };
    match compressed {
        Some(bytes) => response.insert_header((header::CONTENT_ENCODING, "gzip")).body(bytes),
        None => response.body(body),
    }
}

fn gzip(body: &[u8], level: Compression) -> Option<web::Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), level);
    encoder.write_all(body).ok()?;
    encoder.finish().ok().map(web::Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_names_the_own_host_and_the_allowed_sites() {
        let with = policy("abc", "https://desk.example", Some("shop.example"));
        assert!(
            with.contains("script-src 'nonce-abc' 'strict-dynamic'; ") && with.contains("connect-src 'self' wss://desk.example; "),
            "{with}"
        );
        assert!(with.ends_with("; frame-ancestors shop.example") && with.contains("img-src 'self' https: blob:"), "{with}");
        let without = policy("abc", "http://127.0.0.1:3000", None);
        assert!(!without.contains("frame-ancestors") && without.contains("ws://127.0.0.1:3000") && without.contains("'self' http: https:"));
    }

    #[test]
    fn only_files_of_the_folder_have_names() {
        for (name, plain) in [("a-B1.js", true), ("../index.html", false), (".vite", false), ("a/b.js", false), ("a\\b.js", false)] {
            assert_eq!(is_plain(name), plain, "{name}");
        }
    }
}
