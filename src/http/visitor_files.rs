//! Files of visitors, whom nobody knows: which are taken, and how they come.
use super::body::{Body, UploadedFile};
use super::direct_uploads::{self, UploadFields};
use super::error::{ApiError, ApiResult};
use super::messages::check_number;
use super::throttle::{Limit, Throttle};
use super::uploads;
use super::visitors::Visitor;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::store::NewFile;
use actors::system::Handles;
use entity::{account, contact};
use std::sync::Arc;

/// What is taken beside pictures, sounds and films (contract, section 0, Limits).
const TAKEN: &[&str] = &[
    "text/csv",
    "text/plain",
    "text/rtf",
    "text/xml",
    "application/json",
    "application/pdf",
    "application/xml",
    "application/rtf",
    "application/zip",
    "application/x-7z-compressed",
    "application/vnd.rar",
    "application/x-rar-compressed",
    "application/x-tar",
    "application/msword",
    "application/vnd.ms-excel",
    "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.oasis.opendocument.text",
    "application/vnd.oasis.opendocument.spreadsheet",
    "application/vnd.oasis.opendocument.presentation",
    "application/x-pkcs12",
];
/// The largest picture of a visitor, in bytes.
const PICTURE_LIMIT: u64 = 5 << 20;

/// Announces a file; the answer says where to put it.
#[utoipa::path(post, path = "", tag = "Widget", request_body = UploadFields, responses((status = 200, description = "signed_id, and direct_upload: url, headers"), (status = 422, description = "a field is wrong, or such files are not taken")))]
pub async fn announce(
    handles: web::Data<Handles>,
    visitor: Visitor,
    throttle: Throttle,
    request: HttpRequest,
    body: Body<UploadFields>,
) -> ApiResult<HttpResponse> {
    throttle.admit(Limit::VisitorUploads, visitor.identity.id)?;
    check(body.value.content_type(), "content_type")?;
    direct_uploads::announce(&handles, &request, (visitor.website.inbox.row.account_id, None), body.value).await
}

/// The files of a visitor's message: those that came along, and those that were uploaded before.
///
/// # Errors
/// 422 naming a file that is not taken; nothing of the request is kept then.
pub async fn taken(handles: &Handles, account_id: i64, uploaded: Vec<UploadedFile>, signed_ids: &[String]) -> ApiResult<Vec<NewFile>> {
    check_number(uploaded.len() + signed_ids.len())?;
    let mut files = direct_uploads::named(handles, account_id, signed_ids).await?;
    for kind in files.iter().map(|file| &file.stored.content_type).chain(uploaded.iter().map(|file| &file.stored().content_type)) {
        check(kind, "attachments")?;
    }
    files.extend(super::messages::uploaded(uploaded, None));
    Ok(files)
}

/// Fetches the picture that a site names for its visitor, in the background: pictures that browsers show, of bounded size. One that
/// cannot be had leaves the contact without.
pub fn fetch_picture(handles: Handles, account: Arc<account::Model>, contact: contact::Model, url: String) {
    actix_web::rt::spawn(async move {
        let stored = match uploads::fetch(&handles, &url, PICTURE_LIMIT).await {
            Ok(stored) => stored,
            Err(error) => return tracing::debug!(%error, "a visitor's picture cannot be had"),
        };
        let unkept = handles.files.unkept(&stored);
        if !uploads::PICTURES.contains(&stored.content_type.as_str()) {
            return tracing::debug!(content_type = stored.content_type, "a visitor's picture is not taken");
        }
        match handles.contacts.picture(&account, contact, &stored).await {
            Ok(()) => unkept.keep(),
            Err(error) => tracing::warn!(%error, "a visitor's picture is not kept"),
        }
    });
}

fn check(content_type: &str, field: &str) -> ApiResult<()> {
    match is_taken(content_type) {
        true => Ok(()),
        false => Err(ApiError::invalid(field, format!("{field}: files of type {content_type} are not taken here"))),
    }
}

/// Whether visitors may send files of a type: nothing that a browser would run.
fn is_taken(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_media = ["image/", "audio/", "video/"].iter().any(|family| kind.starts_with(family));
    (is_media && !kind.contains("svg")) || TAKEN.contains(&kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_would_run_is_not_taken() {
        for (kind, taken) in [
            ("image/png", true),
            ("image/heic", true),
            ("video/mp4", true),
            ("audio/ogg; codecs=opus", true),
            ("application/pdf", true),
            ("text/plain", true),
            ("image/svg+xml", false),
            ("IMAGE/SVG+XML; charset=utf-8", false),
            ("text/html", false),
            ("application/xhtml+xml", false),
            ("text/javascript", false),
            ("application/x-msdownload", false),
            ("application/octet-stream", false),
            ("", false),
        ] {
            assert_eq!(is_taken(kind), taken, "{kind}");
        }
    }
}
