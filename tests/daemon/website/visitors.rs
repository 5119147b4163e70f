//! Who a visitor is: what the page is given at its first load, and whose token opens what.

use super::{NO_WEBSITE, Visitor, Website, signed, website};
use crate::app::{administrator, api_inbox, contents, count, execute, keys, words};
use crate::desk::{assert_names, assert_refused};
use crate::harness::{Client, SOON};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};

const CONFIG: &str = "allow_messages_after_resolved api_host auth_token avatar_url csat_survey_enabled disable_branding enabled_features \
    enabled_languages locale out_of_office_message portal pre_chat_form_enabled pre_chat_form_options reply_time timezone utc_off_set \
    website_name website_token welcome_tagline welcome_title widget_color working_hours working_hours_enabled";
/// 180 days.
const VALID_FOR: i64 = 180 * 24 * 60 * 60;

#[tokio::test]
async fn whoever_comes_is_a_contact_and_stays_the_same_one() {
    let website = Website::open(json!({"channel": {"welcome_title": "Hello", "locale": "fr"}})).await;
    let client = website.daemon.visitor();
    let path = format!("/api/v1/widget/config?website_token={}", website.inbox.token);
    let came = client.post(&path, json!({})).await.expect(200);
    assert_eq!(keys(&came.body), words("website_channel_config contact global_config"));
    let config = came.at("/website_channel_config");
    assert!(words(CONFIG).iter().all(|name| config.get(name).is_some()), "{config}");
    assert_eq!((&config["website_token"], &config["welcome_title"]), (&json!(website.inbox.token), &json!("Hello")));
    assert_eq!((&config["locale"], &config["website_name"]), (&json!("fr"), &json!("Shop")));
    assert_eq!(keys(came.at("/contact")), words("email id identifier name phone_number pubsub_token"));
    assert_eq!((came.at("/contact/email"), came.at("/contact/identifier")), (&Value::Null, &Value::Null));
    assert!(!came.text.contains(&website.inbox.hmac_token));

    let visitor = Visitor::of(&client, &website.inbox.token, &came);
    let shown = website.contact(visitor.contact).await;
    let (header, claims) = visitor.claims();
    assert_eq!(header["alg"], "HS256");
    assert_eq!((&claims["source_id"], &claims["inbox_id"]), (&shown["contact_inboxes"][0]["source_id"], &json!(website.inbox.id)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), VALID_FOR);
    // The same again, to the letter: another token is another visitor to the loader.
    for _ in 0..3 {
        let again = visitor.again(None).await;
        assert_eq!((&again.auth_token, again.contact, &again.pubsub_token), (&visitor.auth_token, visitor.contact, &visitor.pubsub_token));
    }
    let known = visitor.get("contact").await.expect(200);
    assert_eq!((known.id("/id"), known.at("/has_email"), known.at("/has_phone_number")), (visitor.contact, &json!(false), &json!(false)));
    assert_eq!(known.at("/identifier"), &Value::Null);
    let other = website.visitor().await;
    assert!(other.contact != visitor.contact && other.auth_token != visitor.auth_token && other.pubsub_token != visitor.pubsub_token);
    // A language that the page asks for changes nothing of who asks.
    visitor.get("contact?locale=de").await.expect(200);
    visitor.get("contact?locale=%3Cscript%3E").await.expect(200);
}

/// Tokens of somebody who has a real one and no key.
fn forgeries(website: &Website, real: &Visitor, other: &Visitor) -> Vec<String> {
    let (header, claims) = real.claims();
    let parts: Vec<&str> = real.auth_token.split('.').collect();
    let of_other: Vec<&str> = other.auth_token.split('.').collect();
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
    };
    let unsigned = URL_SAFE_NO_PAD.encode(json!({"alg": "none", "typ": "JWT"}).to_string());
    let mut forged: Vec<String> = ["", "x", "null", "..", "a.b.c", "Bearer"].map(str::to_owned).to_vec();
    for key in ["", "secret", "secret_key_base", &website.inbox.token, &website.inbox.hmac_token, &real.pubsub_token] {
        forged.push(signed(&header, &claims, key));
    }
    forged.extend([
        format!("{unsigned}.{}.", parts[1]),
        format!("{unsigned}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], of_other[1], parts[2]),
        format!("{}.{}.{}x", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], &parts[2][1..]),
        format!("{}.{}.{}.{}", parts[0], parts[1], parts[2], parts[2]),
        format!(" {}", real.auth_token.replace('.', " ")),
        with("exp", json!(4_102_444_800_i64)),
        with("exp", Value::Null),
        with("source_id", other.claims().1["source_id"].clone()),
        with("source_id", json!({"ne": ""})),
        with("inbox_id", json!(website.inbox.id + 1)),
        website.inbox.token.clone(),
        real.pubsub_token.clone(),
        claims["source_id"].as_str().unwrap().to_owned(),
    ]);
    forged
}

#[tokio::test]
async fn tokens_that_are_not_ours_open_nothing() {
    let website = Website::open(json!({})).await;
    let (real, other) = (website.visitor().await, website.visitor().await);
    let conversation = real.says("mine").await.id("/conversation_id");
    other.says("not yours").await;
    let people = count(&website.daemon, "SELECT COUNT(*) FROM contacts").await;
    for forged in &forgeries(&website, &real, &other) {
        let forger = real.with_token(forged);
        for call in ["contact", "messages", "conversations", "conversations/all", "inbox_members", "campaigns"] {
            let refused = forger.get(call).await;
            assert_refused(&refused, 401);
            assert!(!refused.text.contains("yours"), "{}", refused.text);
        }
        let words = json!({"message": {"content": "forged"}, "contact": {"name": "Forger"}, "name": "Forger", "identifier": "forger"});
        for call in ["messages", "conversations", "labels", "events", "conversations/toggle_typing", "direct_uploads"] {
            assert_refused(&forger.post(call, words.clone()).await, 401);
        }
        for call in ["contact", "contact/set_user", "messages/1"] {
            assert_refused(&forger.patch(call, words.clone()).await, 401);
        }
        assert_refused(&forger.get("conversations/toggle_status").await, 401);
    }
    assert_eq!(count(&website.daemon, "SELECT COUNT(*) FROM contacts").await, people, "nobody was made");
    assert_eq!(contents(&website.admin, conversation).await, ["mine"]);
    // The page begins anew with whatever else it was given, and is told so by another token.
    for forged in [String::new(), "a.b.c".to_owned(), signed(&real.claims().0, &real.claims().1, "secret")] {
        let came = real.with_token(&forged).again(None).await;
        assert!(came.contact != real.contact && came.auth_token != forged && came.auth_token != real.auth_token);
        assert!(came.conversations().await.is_empty());
    }
    let refused = real.with_token("a.b.c").get("messages").await;
    assert!(refused.str("/error").to_lowercase().contains("load"), "it says what to do: {}", refused.text);
    // Without the header at all.
    let nobody = website.daemon.visitor();
    assert_refused(&nobody.get(real.path("messages")).await, 401);
    // In the place of the header, a token is none.
    assert_refused(&nobody.get(real.path(&format!("messages?cw_conversation={}", real.auth_token))).await, 401);
    assert_eq!(real.reads(None).await.len(), 1);
}

#[tokio::test]
async fn a_token_opens_the_website_it_was_made_for_and_no_other() {
    let website = Website::open(json!({})).await;
    let elsewhere = self::website(&website.admin, json!({"name": "Elsewhere"})).await;
    let api = api_inbox(&website.admin, json!({})).await;
    let visitor = website.visitor().await;
    let conversation = visitor.says("hello").await.id("/conversation_id");
    let there = visitor.at(&elsewhere.token);
    for call in ["contact", "messages", "conversations", "conversations/all", "inbox_members"] {
        assert_refused(&there.get(call).await, 401);
    }
    assert_refused(&there.says_in(conversation, "from elsewhere").await, 401);
    assert_refused(&there.patch("contact", json!({"name": "Elsewhere"})).await, 401);
    let came = there.again(None).await;
    assert!(came.contact != visitor.contact && came.conversations().await.is_empty());
    assert_refused(&came.says_in(conversation, "from elsewhere").await, 404);
    for unknown in ["", "unknown", "%3Cscript%3E", api.identifier.as_str()] {
        let nowhere = visitor.at(unknown);
        for answer in [nowhere.get("contact").await, nowhere.post("messages", json!({"message": {"content": "x"}})).await] {
            assert_eq!(answer.expect(404).str("/error"), NO_WEBSITE, "{unknown:?}");
        }
        assert_eq!(nowhere.post("config", json!({})).await.expect(404).str("/error"), NO_WEBSITE, "{unknown:?}");
    }
    assert_eq!(visitor.client.get("/api/v1/widget/contact").await.expect(404).str("/error"), NO_WEBSITE);
    assert_eq!(contents(&website.admin, conversation).await, ["hello"]);
}

#[tokio::test]
async fn a_suspended_account_answers_no_visitor() {
    let mut website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    visitor.says("hello").await;
    let people = count(&website.daemon, "SELECT COUNT(*) FROM contacts").await;
    website.daemon.kill();
    const SUSPEND: &str = "UPDATE accounts SET status = 1";
    execute(&website.daemon, SUSPEND, SUSPEND).await;
    website.daemon.restart().await;
    // It may have moved to another port.
    let visitor = Visitor { client: website.daemon.visitor().with_visitor(&visitor.auth_token), ..visitor };
    for answer in [
        visitor.get("messages").await,
        visitor.post("messages", json!({"message": {"content": "x"}})).await,
        visitor.post("config", json!({})).await,
        visitor.with_token("").post("config", json!({})).await,
    ] {
        assert_eq!(answer.expect(401).str("/error"), "Account is suspended");
    }
    if let Some(page) = website.page("").await {
        assert_eq!(page.expect(401).str("/error"), "Account is suspended");
    }
    assert_eq!(count(&website.daemon, "SELECT COUNT(*) FROM contacts").await, people);
}

#[tokio::test]
async fn a_request_that_is_sent_again_is_carried_out_once() {
    let website = Website::open(json!({})).await;
    let (visitor, other) = (website.visitor().await, website.visitor().await);
    let body = json!({"message": {"content": "once", "echo_id": "0123456789abcdef0123456789abcdef"}});
    let first = visitor.post_once("messages", "k1", &body).await.expect(200);
    let again = visitor.post_once("messages", "k1", &body).await.expect(200);
    assert_eq!((first.id("/id"), &first.body), (again.id("/id"), &again.body));
    let said = visitor.post_once("messages", "k1", &json!({"message": {"content": "other"}})).await;
    assert_names(&said, 422, "Idempotency-Key");

    let opening = json!({"contact": {"name": "Mia"}, "message": {"content": "another matter"}, "custom_attributes": {"page": "cart"}});
    let opened = visitor.post_once("conversations", "k2", &opening).await.expect(200);
    let same = visitor.post_once("conversations", "k2", &opening).await.expect(200);
    assert_eq!((opened.id("/id"), opened.id("/messages/0/id")), (same.id("/id"), same.id("/messages/0/id")));
    assert_ne!(opened.id("/id"), first.id("/conversation_id"));
    // Somebody else's key is another one.
    let theirs = other.post_once("messages", "k1", &body).await.expect(200);
    assert!(theirs.id("/id") != first.id("/id") && theirs.id("/conversation_id") != first.id("/conversation_id"));
    assert_refused(&visitor.with_token("a.b.c").post_once("messages", "k1", &body).await, 401);
    assert_eq!(website.conversations().await.len(), 3);
    assert_eq!(contents(&website.admin, first.id("/conversation_id")).await, ["once"]);
    assert_eq!(contents(&website.admin, opened.id("/id")).await, ["another matter"]);

    // At once, as when an answer is lost and the page tries again.
    let key = "k3";
    let body = json!({"message": {"content": "at once"}});
    let (one, two) = tokio::join!(visitor.post_once("messages", key, &body), visitor.post_once("messages", key, &body));
    for answer in [&one, &two] {
        assert!(matches!(answer.status, 200 | 409), "{}: {}", answer.request, answer.text);
    }
    visitor.post_once("messages", key, &body).await.expect(200);
    let said = contents(&website.admin, opened.id("/id")).await;
    assert_eq!(said, ["another matter", "at once"], "where it wrote last");
}

#[tokio::test]
async fn what_a_visitor_tells_of_itself_is_kept_and_told() {
    let website = Website::open(json!({})).await;
    let root = administrator(&website.daemon).await;
    let (visitor, other) = (website.visitor().await, website.visitor().await);
    let mut cable = website.daemon.cable().await;
    cable.subscribe_agent(&root.pubsub_token, 1, root.id).await;
    let fields = json!({"name": "Mia", "email": "Mia@Example.com", "phone_number": "+4915112345678", "custom_attributes": {"plan": "gold", "age": 30}});
    let told = visitor.patch("contact", fields).await.expect(200);
    let known = json!({"id": visitor.contact, "has_email": true, "has_name": true, "has_phone_number": true});
    for (name, value) in known.as_object().unwrap() {
        assert_eq!(told.at(&format!("/{name}")), value, "{name}");
    }
    let event = cable.next_event_where("contact.updated", SOON, |contact| contact["id"] == visitor.contact).await;
    assert_eq!((&event["name"], &event["email"], event.get("performer")), (&json!("Mia"), &json!("mia@example.com"), None));
    let shown = website.contact(visitor.contact).await;
    assert_eq!((&shown["phone_number"], &shown["custom_attributes"]), (&json!("+4915112345678"), &json!({"plan": "gold", "age": 30})));
    let config = visitor.post("config", json!({})).await.expect(200);
    assert_eq!((config.str("/contact/name"), config.str("/contact/email")), ("Mia", "mia@example.com"));

    visitor.patch("contact", json!({"custom_attributes": {"plan": "silver"}})).await.expect(200);
    assert_eq!(website.contact(visitor.contact).await["custom_attributes"], json!({"plan": "silver", "age": 30}), "merged");
    visitor.post("contact/destroy_custom_attributes", json!({"custom_attributes": ["plan", "unknown"]})).await.expect(200);
    assert_eq!(website.contact(visitor.contact).await["custom_attributes"], json!({"age": 30}));
    assert_eq!(website.contact(visitor.contact).await["name"], "Mia", "what was not named stays");

    // An address that is another's gives nothing of the other.
    visitor.says("private matter").await;
    let taken = other.patch("contact", json!({"email": "mia@example.com"})).await;
    assert!(matches!(taken.status, 200 | 422), "{}: {}", taken.request, taken.text);
    assert!(other.conversations().await.is_empty(), "an address proves nothing");
    let config = other.post("config", json!({})).await.expect(200);
    assert!(!config.text.contains("+4915112345678") && !config.text.contains("Mia"), "{}", config.text);
    assert_eq!(website.contact(visitor.contact).await["email"], "mia@example.com");
}

#[tokio::test]
async fn other_pages_may_call_for_their_visitors_where_the_settings_say_so() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let asked = |client: &Client| {
        let request = client.request(Method::OPTIONS, &visitor.path("messages")).header("origin", "https://app.example");
        request.header("access-control-request-method", "POST").header("access-control-request-headers", "x-auth-token,idempotency-key")
    };
    // As the React Native client and servers' own pages do: the daemon's default allows every origin.
    let client = website.daemon.visitor();
    let answer = client.answer(asked(&client)).await;
    assert!(matches!(answer.status, 200 | 204), "{}: {}", answer.request, answer.status);
    assert!(matches!(answer.header("access-control-allow-origin"), Some("*" | "https://app.example")), "{:?}", answer.headers);
    let allowed = answer.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
    assert!(allowed == "*" || (allowed.contains("x-auth-token") && allowed.contains("idempotency-key")), "{allowed}");
}
