//! The loader, the page of the widget and the page of the survey: with which headers they come, and what is written into them.

use super::{NO_WEBSITE, Visitor, Website, built};
use crate::app::{api_inbox, keys, words};
use crate::harness::{Answer, Daemon};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const CHANNEL: &str = "avatarUrl hasAConnectedAgentBot locale websiteName websiteToken welcomeTagline welcomeTitle widgetColor portal \
    enabledFeatures enabledLanguages replyTime preChatFormEnabled preChatFormOptions workingHoursEnabled csatSurveyEnabled workingHours \
    outOfOfficeMessage utcOffset timezone allowMessagesAfterResolved disableBranding";

/// The nonce in the policy of a page.
fn nonce(page: &Answer) -> &str {
    let policy = policy(page);
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
    nonce.unwrap_or_else(|| panic!("no nonce in {policy}"))
}

fn policy(page: &Answer) -> &str {
    page.header("content-security-policy").unwrap_or_else(|| panic!("{} has no policy", page.request))
}

/// What follows the name of a directive in the policy of a page.
fn directive<'a>(page: &'a Answer, name: &str) -> Option<&'a str> {
    policy(page).split(';').map(str::trim).find_map(|one| one.strip_prefix(name)).map(str::trim)
}

/// The data of a page, as its script reads it.
fn boot(page: &Answer) -> Value {
    let block = page.text.split("id=\"boot\"").nth(1).and_then(|rest| rest.split_once('>')).unwrap_or_else(|| panic!("{}", page.text)).1;
    let data = block.split('<').next().unwrap();
    serde_json::from_str(data).unwrap_or_else(|error| panic!("{error} in {data}"))
}

/// What holds for every page.
fn assert_is_safe_page(page: &Answer) {
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(name).map(str::to_lowercase).as_deref(), Some(value), "{name}");
    }
    assert_eq!(page.header("x-frame-options"), None);
    let nonce = nonce(page);
    assert!(nonce.len() >= 22, "{nonce}");
    for (name, value) in [
        ("default-src", "'none'"),
        ("script-src", &format!("'nonce-{nonce}' 'strict-dynamic'")),
        ("style-src", "'self'"),
        ("font-src", "'self'"),
        ("base-uri", "'none'"),
        ("form-action", "'none'"),
        ("require-trusted-types-for", "'script'"),
        ("trusted-types", "svelte-trusted-html"),
    ] {
        assert_eq!(directive(page, name), Some(value), "{name}");
    }
    assert!(directive(page, "connect-src").unwrap().starts_with("'self'"), "{}", policy(page));
    assert!(!page.text.contains("__NONCE__") && !page.text.contains("__BOOT__"), "{}", page.text);
    // Whatever runs bears the nonce.
    let scripts: Vec<&str> = page.text.split("<script").skip(1).map(|rest| rest.split('>').next().unwrap()).collect();
    let running = scripts.iter().filter(|attributes| !attributes.contains("application/json"));
    assert!(running.clone().count() > 0, "{}", page.text);
    assert!(running.into_iter().all(|attributes| attributes.contains(&format!("nonce=\"{nonce}\""))), "{scripts:?}");
}

#[tokio::test]
async fn the_loader_is_for_every_site_and_kept_for_an_hour() {
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    let Some(loader) = built(visitor.get("/packs/js/sdk.js").await) else { return };
    let loader = loader.expect(200);
    for (name, value) in [
        ("content-type", "text/javascript; charset=utf-8"),
        ("cache-control", "public, max-age=3600, stale-while-revalidate=86400"),
        ("access-control-allow-origin", "*"),
        ("cross-origin-resource-policy", "cross-origin"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(loader.header(name).map(str::to_lowercase).as_deref(), Some(value), "{name}");
    }
    assert!(loader.text.contains("chatwootSDK") && loader.text.contains("konversioSDK"));
    let tag = loader.header("etag").expect("an ETag").to_owned();
    let head = visitor.answer(visitor.request(Method::HEAD, "/packs/js/sdk.js")).await.expect(200);
    assert_eq!((head.text.as_str(), head.header("etag")), ("", Some(tag.as_str())));
    let again = visitor.answer(visitor.request(Method::GET, "/packs/js/sdk.js").header("if-none-match", &tag)).await.expect(304);
    assert_eq!(again.text, "");
    visitor.answer(visitor.request(Method::GET, "/packs/js/sdk.js").header("if-none-match", "\"other\"")).await.expect(200);
    // Two of them would be none to a browser.
    let elsewhere = visitor.request(Method::GET, "/packs/js/sdk.js").header("origin", "https://shop.example");
    let allowed = visitor.answer(elsewhere).await.expect(200).headers.get_all("access-control-allow-origin").iter().count();
    assert_eq!(allowed, 1);
    assert_eq!(visitor.get("/packs/js/sdk.js?v=2").await.expect(200).text, loader.text, "some sites add a query against caches");
}

#[tokio::test]
async fn the_page_lets_nothing_run_but_its_own_script() {
    let website = Website::open(json!({})).await;
    let Some(page) = website.page("").await else { return };
    let page = page.expect(200);
    assert_is_safe_page(&page);
    assert_eq!(directive(&page, "frame-ancestors"), None, "no domains, no limits");
    let other = website.page("").await.unwrap().expect(200);
    assert_ne!(nonce(&page), nonce(&other));
}

#[tokio::test]
async fn only_the_domains_that_are_allowed_may_show_it() {
    let website = Website::open(json!({"channel": {"allowed_domains": "shop.example, *.shop.example,https://other.example:8443"}})).await;
    let Some(page) = website.page("").await else { return };
    let page = page.expect(200);
    assert_is_safe_page(&page);
    let allowed: Vec<&str> = directive(&page, "frame-ancestors").expect("frame-ancestors").split_whitespace().collect();
    for domain in ["shop.example", "*.shop.example", "other.example:8443"] {
        assert!(allowed.iter().any(|source| source.trim_start_matches("https://") == domain), "{domain} is not in {allowed:?}");
    }
    assert!(!allowed.contains(&"*") && !allowed.iter().any(|source| source.ends_with(',')), "{allowed:?}");
    website.change(json!({"channel": {"allowed_domains": ""}})).await.expect(200);
    assert_eq!(directive(&website.page("").await.unwrap().expect(200), "frame-ancestors"), None);
}

#[tokio::test]
async fn the_page_knows_the_website_and_the_visitor() {
    let form = json!({"pre_chat_message": "Who?", "pre_chat_fields": [{"name": "fullName", "type": "text", "field_type": "standard",
        "label": "Name", "placeholder": "", "required": true, "enabled": true}]});
    let title = "</script><script>alert(1)</script><!--";
    let channel = json!({"welcome_title": title, "welcome_tagline": "Tagline", "widget_color": "#00aa11", "reply_time": "in_a_day",
        "pre_chat_form_enabled": true, "pre_chat_form_options": form, "selected_feature_flags": ["attachments"], "locale": "pt"});
    let more = json!({"channel": channel, "out_of_office_message": "Closed", "timezone": "Asia/Kolkata", "csat_survey_enabled": true});
    let website = Website::open(more).await;
    let Some(page) = website.page("").await else { return };
    let page = page.expect(200);
    assert!(!page.text.contains("<script>alert") && !page.text.contains("<!--\""), "{}", page.text);
    assert!(page.text.contains("\\u003c/script>\\u003cscript>alert(1)"), "{}", page.text);
    let data = boot(&page);
    assert_eq!(keys(&data), words("channel authToken pubsubToken globalConfig"));
    let channel = &data["channel"];
    assert!(words(CHANNEL).iter().all(|name| channel.get(name).is_some()), "{channel}");
    for (name, value) in [
        ("welcomeTitle", json!(title)),
        ("welcomeTagline", json!("Tagline")),
        ("widgetColor", json!("#00aa11")),
        ("websiteName", json!("Shop")),
        ("websiteToken", json!(website.inbox.token)),
        ("replyTime", json!("in_a_day")),
        ("preChatFormEnabled", json!(true)),
        ("enabledFeatures", json!(["attachments"])),
        ("locale", json!("pt")),
        ("outOfOfficeMessage", json!("Closed")),
        ("timezone", json!("Asia/Kolkata")),
        ("utcOffset", json!("+05:30")),
        ("csatSurveyEnabled", json!(true)),
        ("workingHoursEnabled", json!(false)),
        ("allowMessagesAfterResolved", json!(true)),
        ("portal", Value::Null),
    ] {
        assert_eq!(channel[name], value, "{name}");
    }
    assert_eq!(channel["preChatFormOptions"]["pre_chat_fields"][0]["name"], "fullName");
    assert_eq!(channel["workingHours"].as_array().map(Vec::len), Some(7));
    assert!(!page.text.contains(&website.inbox.hmac_token));

    // Who it has made a visitor of is one.
    let token = data["authToken"].as_str().unwrap();
    let visitor = Visitor::come(&website.daemon.visitor(), &website.inbox.token).await.with_token(token).again(None).await;
    assert_eq!((visitor.auth_token.as_str(), &json!(visitor.pubsub_token)), (token, &data["pubsubToken"]));
    // And stays the same one, with the very same token.
    let again = boot(&website.page(&format!("&cw_conversation={token}")).await.unwrap().expect(200));
    assert_eq!((&again["authToken"], &again["pubsubToken"]), (&data["authToken"], &data["pubsubToken"]));
    let anew = boot(&website.page("").await.unwrap().expect(200));
    assert!(anew["authToken"] != data["authToken"] && anew["pubsubToken"] != data["pubsubToken"]);
    // Whoever brings something else begins anew.
    let foreign = super::website(&website.admin, json!({})).await;
    let foreign = Visitor::come(&website.daemon.visitor(), &foreign.token).await.auth_token;
    let forged = format!("{}x", &token[..token.len() - 1]);
    for wrong in ["", "null", "undefined", "x.y.z", "%00", "%22%3E%3Cscript%3E", &forged, &foreign] {
        let answer = website.page(&format!("&cw_conversation={wrong}")).await.unwrap();
        if wrong == "%00" && answer.status == 422 {
            continue;
        }
        let shown = boot(&answer.expect(200));
        let token = shown["authToken"].as_str().unwrap();
        assert!(token.split('.').count() == 3 && token != foreign && token != data["authToken"], "{wrong}: {token}");
    }
}

#[tokio::test]
async fn a_website_that_is_none_is_said_so() {
    let website = Website::open(json!({})).await;
    let api = api_inbox(&website.admin, json!({})).await;
    if website.page("").await.is_none() {
        return;
    }
    let visitor = website.daemon.visitor();
    let of_others = format!("/widget?website_token={}", api.identifier);
    for path in ["/widget", "/widget?website_token=", "/widget?website_token=unknown", "/widget?website_token=%3Cscript%3E", &of_others] {
        let answer = visitor.get(path).await.expect(404);
        assert_eq!(answer.str("/error"), NO_WEBSITE, "{path}");
        assert!(answer.header("content-type").unwrap().starts_with("application/json"), "{path}");
    }
}

#[tokio::test]
async fn parts_of_the_page_never_change_and_nothing_else_is_given() {
    let website = Website::open(json!({})).await;
    let Some(page) = website.page("").await else { return };
    let page = page.expect(200).text;
    let visitor = website.daemon.visitor();
    let parts: Vec<&str> = page.split("/widget/assets/").skip(1).filter_map(|rest| rest.split(['"', '\'', ' ', '>']).next()).collect();
    assert!(parts.iter().any(|name| name.ends_with(".js")) && parts.iter().any(|name| name.ends_with(".css")), "{parts:?} in {page}");
    for name in &parts {
        let part = visitor.get(format!("/widget/assets/{name}")).await.expect(200);
        let kind = match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("css") => "text/css",
            Some("svg") => "image/svg+xml",
            _ => "text/javascript",
        };
        assert!(part.header("content-type").unwrap().starts_with(kind), "{name}: {:?}", part.header("content-type"));
        assert_eq!(part.header("cache-control"), Some("public, max-age=31536000, immutable"), "{name}");
        assert_eq!(part.header("x-content-type-options"), Some("nosniff"), "{name}");
    }
    // Each of the front end's files is asked for by its own address alone.
    let name = parts[0];
    for absent in [
        "/widget/assets/chunk-00000000.js".to_owned(),
        "/widget/assets/".to_owned(),
        "/widget/assets".to_owned(),
        "/widget/.vite/manifest.json".to_owned(),
        "/widget/assets/.vite/manifest.json".to_owned(),
        "/.vite/manifest.json".to_owned(),
        "/packs/js/index.html".to_owned(),
        "/packs/js/sdk.js.map".to_owned(),
        "/widget/index.html".to_owned(),
        "/widget/assets/../.vite/manifest.json".to_owned(),
        "/widget/assets/../index.html".to_owned(),
        "/widget/assets/../../../../Cargo.toml".to_owned(),
        "/widget/assets/%2e%2e/%2e%2e/%2e%2e/Cargo.toml".to_owned(),
        "/widget/assets/..%2f..%2f..%2f..%2fCargo.toml".to_owned(),
        "/widget/assets/..%5c..%5cindex.html".to_owned(),
        "/widget/assets//etc/passwd".to_owned(),
        "/widget/assets/%2fetc%2fpasswd".to_owned(),
        format!("/widget/assets/{name}%00.html"),
        format!("/widget/assets/./{name}/"),
    ] {
        let answer = raw(&website.daemon, &absent).await;
        let head = answer.split("\r\n\r\n").next().unwrap().to_lowercase();
        let status = head.split(' ').nth(1).unwrap_or_default();
        assert!(matches!(status, "400" | "404" | "422"), "{absent}: {answer}");
        assert!(!head.contains("text/html"), "{absent}: {head}");
        assert!(!answer.contains("[package]") && !answer.contains("root:x"), "{absent}: {answer}");
    }
}

#[tokio::test]
async fn the_survey_is_a_page_of_its_own() {
    let website = Website::open(json!({"channel": {"widget_color": "#abcdef"}})).await;
    let conversation = website.visitor().await.says("hello").await.id("/conversation_id");
    let uuid = crate::app::show(&website.admin, conversation).await.str("/uuid").to_owned();
    let visitor = website.daemon.visitor();
    let Some(page) = built(visitor.get(format!("/survey/responses/{uuid}")).await) else { return };
    let page = page.expect(200);
    assert_is_safe_page(&page);
    assert_eq!(directive(&page, "frame-ancestors"), Some("'none'"));
    let data = boot(&page);
    assert_eq!(keys(&data), words("survey globalConfig"));
    assert_eq!(data["survey"]["uuid"], uuid.as_str());
    assert_eq!(data["survey"]["color"], "#abcdef");
    // It says itself that it does not know the conversation.
    let unknown = "6b8ab7a4-0000-4000-8000-000000000000";
    let page = visitor.get(format!("/survey/responses/{unknown}")).await.expect(200);
    assert_is_safe_page(&page);
    assert_eq!(boot(&page)["survey"]["uuid"], unknown);
    let odd = visitor.get("/survey/responses/%3Cscript%3Ealert(1)%3C%2Fscript%3E").await;
    assert!(matches!(odd.status, 200 | 404) && !odd.text.contains("<script>alert"), "{}", odd.text);
}

#[tokio::test]
async fn a_binary_without_the_pages_says_how_to_build_them() {
    let website = Website::open(json!({})).await;
    let page = website.daemon.visitor().get(format!("/widget?website_token={}", website.inbox.token)).await;
    if page.status != 503 {
        return;
    }
    assert!(!page.header("content-type").unwrap().contains("html"), "{:?}", page.headers);
    assert!(page.text.contains("build") && !page.text.contains('<'), "{}", page.text);
    // The rest of the website works without them.
    website.visitor().await.says("hello").await;
}

/// The answer to a path that no client would send as it is.
async fn raw(daemon: &Daemon, path: &str) -> String {
    let mut stream = TcpStream::connect(daemon.site().address()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", daemon.site().address());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}
