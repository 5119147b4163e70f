//! What becomes of a visitor who says, or proves, who it is (contract, section 6.4, `set_user`; section 5, HMAC).

use super::{Visitor, Website};
use crate::app::{hmac_sha256, say, show};
use crate::desk::{assert_names, assert_refused};
use crate::harness::{Answer, Receiver, Reply, SOON, eventually};
use crate::messengers::PICTURE;
use serde_json::{Value, json};

impl Visitor {
    /// Says who it is.
    async fn set_user(&self, fields: Value) -> Answer {
        self.patch("contact/set_user", fields).await
    }

    /// Who it is from then on, as its page finds out.
    async fn after(&self, answer: &Answer) -> Visitor {
        let token = answer.body["widget_auth_token"].as_str();
        self.again(token).await
    }

    /// Proves who it is, and is that.
    async fn proves(&self, website: &Website, identifier: &str, more: Value) -> Visitor {
        let mut fields = json!({"identifier": identifier, "identifier_hash": website.proof(identifier)});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = self.set_user(fields).await.expect(200);
        self.after(&answer).await
    }
}

#[tokio::test]
async fn a_proof_continues_a_person_on_another_device() {
    let website = Website::open(json!({})).await;
    let laptop = website.visitor().await;
    let fields =
        json!({"email": "mia@example.com", "name": "Mia", "phone_number": "+4915112345678", "custom_attributes": {"plan": "gold"}});
    let laptop = laptop.proves(&website, "mia", fields).await;
    let conversation = laptop.says("from the laptop").await.id("/conversation_id");
    let shown = website.contact(laptop.contact).await;
    assert_eq!((&shown["identifier"], &shown["email"], &shown["name"]), (&json!("mia"), &json!("mia@example.com"), &json!("Mia")));
    assert_eq!(shown["custom_attributes"], json!({"plan": "gold"}));
    assert_eq!(show(&website.admin, conversation).await.at("/meta/hmac_verified"), true);
    let known = laptop.get("contact").await.expect(200);
    assert_eq!((known.at("/has_email"), known.str("/identifier")), (&json!(true), "mia"));

    let phone = website.visitor().await.proves(&website, "mia", json!({})).await;
    assert_eq!(phone.contact, laptop.contact, "one person");
    assert_eq!(phone.conversations().await, [conversation]);
    assert_eq!(phone.reads(Some(conversation)).await[0]["content"], "from the laptop");
    let written = phone.says_in(conversation, "from the phone").await.expect(200);
    assert_eq!(laptop.reads(Some(conversation)).await.last().unwrap()["id"], *written.at("/id"));
    // What is answered is heard on both.
    let (mut of_laptop, mut of_phone) = (laptop.listen(&website.daemon).await, phone.listen(&website.daemon).await);
    let answer = say(&website.admin, conversation, "hello, Mia").await;
    for cable in [&mut of_laptop, &mut of_phone] {
        cable.next_event_where("message.created", SOON, |message| message["id"] == answer).await;
    }
    // The same proof again is no news: the page may send it at each load.
    let again = phone.set_user(json!({"identifier": "mia", "identifier_hash": website.proof("mia")})).await.expect(200);
    assert!(again.body.get("widget_auth_token").is_none_or(Value::is_null), "{}", again.text);
    assert_eq!(phone.again(None).await.contact, laptop.contact);
    assert_eq!(website.conversations().await, [conversation]);
}

#[tokio::test]
async fn what_was_said_before_the_proof_stays_the_persons() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let conversation = visitor.says("before I sign in").await.id("/conversation_id");
    let mia = visitor.proves(&website, "mia", json!({"name": "Mia"})).await;
    assert_eq!(mia.conversations().await, [conversation]);
    let written = mia.says_in(conversation, "and after").await.expect(200);
    assert_eq!(written.id("/conversation_id"), conversation);
    assert_eq!(show(&website.admin, conversation).await.id("/meta/sender/id"), mia.contact);
}

#[tokio::test]
async fn a_wrong_proof_is_refused_and_changes_nothing() {
    let website = Website::open(json!({})).await;
    let mia = website.visitor().await.proves(&website, "mia", json!({"name": "Mia", "email": "mia@example.com"})).await;
    mia.says("mine").await;
    let eve = website.visitor().await;
    let other = super::website(&website.admin, json!({})).await;
    let right = website.proof("mia");
    let (of_mia, of_eve) = (website.contact(mia.contact).await, website.contact(eve.contact).await);
    let key = |key: &str| hex::encode(hmac_sha256(key, b"mia"));
    for (case, hash) in [
        ("wrong", "0".repeat(64)),
        ("upper case", right.to_uppercase()),
        ("truncated", right[..62].to_owned()),
        ("longer", format!("{right}00")),
        ("of another identifier", website.proof("eve")),
        ("another website's key", key(&other.hmac_token)),
        ("the public token as key", key(&website.inbox.token)),
        ("no key", key("")),
    ] {
        let fields = json!({"identifier": "mia", "identifier_hash": hash, "name": "Eve", "email": "eve@example.com"});
        let refused = eve.set_user(fields).await;
        assert_refused(&refused, 401);
        assert!(refused.body.get("widget_auth_token").is_none(), "{case}");
        assert!(eve.conversations().await.is_empty(), "{case}");
    }
    // Nobody is proven by nothing.
    let empty = json!({"identifier": "", "identifier_hash": website.proof(""), "name": "Eve"});
    assert!(matches!(eve.set_user(empty).await.status, 401 | 422));
    assert_eq!((website.contact(mia.contact).await, website.contact(eve.contact).await), (of_mia, of_eve));
    assert_eq!(eve.again(None).await.contact, eve.contact);
}

#[tokio::test]
async fn where_a_proof_is_mandatory_nobody_is_anybody_without_one() {
    let website = Website::open(json!({"channel": {"hmac_mandatory": true}})).await;
    let visitor = website.visitor().await;
    let before = website.contact(visitor.contact).await;
    for fields in [json!({"identifier": "mia", "name": "Mia"}), json!({"identifier": "mia", "identifier_hash": "", "name": "Mia"})] {
        assert_refused(&visitor.set_user(fields).await, 401);
    }
    assert_eq!(website.contact(visitor.contact).await, before);
    // Whoever says nothing of itself may write all the same.
    visitor.says("hello").await;
    let mia = visitor.proves(&website, "mia", json!({"name": "Mia"})).await;
    assert_eq!(website.contact(mia.contact).await["identifier"], "mia");
}

#[tokio::test]
async fn an_identifier_alone_names_a_visitor_and_opens_nothing() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let named = visitor.set_user(json!({"identifier": "noa", "name": "Noa", "email": "noa@example.com"})).await.expect(200);
    let noa = visitor.after(&named).await;
    let shown = website.contact(noa.contact).await;
    assert_eq!((&shown["identifier"], &shown["name"], &shown["email"]), (&json!("noa"), &json!("Noa"), &json!("noa@example.com")));
    let conversation = noa.says("hello").await.id("/conversation_id");
    assert_eq!(show(&website.admin, conversation).await.at("/meta/hmac_verified"), false);

    let mia = website.visitor().await.proves(&website, "mia", json!({"name": "Mia", "email": "mia@example.com"})).await;
    let secret = mia.says("a secret").await.id("/conversation_id");
    let of_mia = website.contact(mia.contact).await;
    for (identifier, known) in [("noa", conversation), ("mia", secret)] {
        let stranger = website.visitor().await;
        let said = stranger.set_user(json!({"identifier": identifier, "name": "Stranger", "email": "stranger@example.com"})).await;
        assert!(matches!(said.status, 200 | 401 | 422), "{}: {}", said.request, said.text);
        let stranger = stranger.after(&said).await;
        assert!(stranger.conversations().await.is_empty(), "{identifier}");
        assert_refused(&stranger.get(&format!("messages?conversation_id={known}")).await, 404);
        assert_refused(&stranger.says_in(known, "me too").await, 404);
        let mut cable = stranger.listen(&website.daemon).await;
        let own = stranger.says("mine").await.id("/id");
        say(&website.admin, known, "between us").await;
        let heard = say(&website.admin, stranger.conversations().await[0], "to the stranger").await;
        cable.next_event_where("message.created", SOON, |message| message["id"] == own).await;
        cable.next_event_where("message.created", SOON, |message| message["id"] == heard).await;
        let all = cable.frames().iter().map(|frame| frame.json.to_string()).collect::<String>();
        assert!(!all.contains("between us"), "{identifier}: {all}");
        let config = stranger.post("config", json!({})).await.expect(200);
        assert!(identifier != "mia" || !config.text.contains("mia@example.com"), "who proves nothing is told nothing: {}", config.text);
    }
    let after = website.contact(mia.contact).await;
    for name in ["identifier", "name", "email", "custom_attributes"] {
        assert_eq!(after[name], of_mia[name], "who proves nothing changes nobody who has: {name}");
    }
}

#[tokio::test]
async fn one_person_after_the_other_at_one_device_are_two() {
    let website = Website::open(json!({})).await;
    let mia = website.visitor().await.proves(&website, "mia", json!({"name": "Mia", "email": "mia@example.com"})).await;
    let of_mia = mia.says("I am Mia").await.id("/conversation_id");
    let fields = json!({"identifier": "eve", "identifier_hash": website.proof("eve"), "name": "Eve"});
    let changed = mia.set_user(fields).await.expect(200);
    let token = changed.str("/widget_auth_token");
    assert_ne!(token, mia.auth_token);
    let eve = mia.after(&changed).await;
    assert_eq!(eve.auth_token, token);
    assert!(eve.contact != mia.contact && eve.pubsub_token != mia.pubsub_token);
    assert!(eve.conversations().await.is_empty(), "what Mia has said is not Eve's");
    assert_refused(&eve.get(&format!("messages?conversation_id={of_mia}")).await, 404);
    let of_eve = eve.says("I am Eve").await.id("/conversation_id");
    assert_ne!(of_eve, of_mia);
    assert_eq!(show(&website.admin, of_eve).await.id("/meta/sender/id"), eve.contact);
    assert_eq!(show(&website.admin, of_mia).await.id("/meta/sender/id"), mia.contact);
    // With the address of the other one, either.
    let fields = json!({"identifier": "eve", "identifier_hash": website.proof("eve"), "email": "mia@example.com", "name": "Eve"});
    let taken = eve.set_user(fields).await;
    assert!(matches!(taken.status, 200 | 422), "{}: {}", taken.request, taken.text);
    let eve = eve.after(&taken).await;
    assert_eq!(eve.conversations().await, [of_eve]);
    let shown = website.contact(mia.contact).await;
    assert_eq!((&shown["identifier"], &shown["email"], &shown["name"]), (&json!("mia"), &json!("mia@example.com"), &json!("Mia")));
    // Mia comes back.
    let back = eve.proves(&website, "mia", json!({})).await;
    assert_eq!((back.contact, back.conversations().await), (mia.contact, vec![of_mia]));
    assert_eq!(mia.conversations().await, [of_mia], "her own page was hers all the time");
}

#[tokio::test]
async fn what_is_told_of_a_person_is_checked() {
    let website = Website::open(json!({})).await;
    let visitor = website.visitor().await;
    let before = website.contact(visitor.contact).await;
    for (name, value) in [
        ("email", json!("nobody")),
        ("email", json!({})),
        ("phone_number", json!("0151")),
        ("name", json!("x".repeat(2049))),
        ("name", json!([])),
        ("identifier", json!("x".repeat(2049))),
        ("identifier", json!({})),
        ("avatar_url", json!("javascript:alert(1)")),
        ("custom_attributes", json!("x")),
        ("custom_attributes", json!({"a": "x".repeat(1500)})),
    ] {
        let mut fields = json!({"identifier": "mia", "identifier_hash": website.proof("mia"), "name": "Mia"});
        fields[name] = value;
        assert_names(&visitor.set_user(fields).await, 422, name);
    }
    assert_eq!(website.contact(visitor.contact).await, before);
}

#[tokio::test]
async fn pictures_are_fetched_and_only_pictures_are_kept() {
    let (website, elsewhere) = tokio::join!(Website::open(json!({})), Receiver::start());
    elsewhere.answer_with(|received| match received.path.as_str() {
        "/photo.png" => Reply::status(200).header("content-type", "image/png").body(PICTURE),
        _ => Reply::status(200).header("content-type", "image/png").body("<svg xmlns='http://www.w3.org/2000/svg'/>"),
    });
    let visitor = website.visitor().await;
    // By the site and by the visitor itself: neither has agents load an address elsewhere.
    visitor.set_user(json!({"identifier": "mia", "avatar_url": elsewhere.url("/drawing.svg")})).await.expect(200);
    visitor.patch("contact", json!({"avatar_url": elsewhere.url("/other.svg")})).await.expect(200);
    elsewhere.wait_for(2, SOON).await;
    visitor.patch("contact", json!({"avatar_url": elsewhere.url("/photo.png")})).await.expect(200);
    let shown = async || Some(website.contact(visitor.contact).await["thumbnail"].as_str()?.to_owned()).filter(|url| !url.is_empty());
    let picture = eventually(SOON, shown).await;
    assert!(picture.contains("/files/") && !picture.starts_with(&elsewhere.url("")), "{picture}");
    // What is known of a contact is not replaced by what is merely claimed.
    let claims = website.visitor().await;
    claims.set_user(json!({"identifier": "mia", "avatar_url": elsewhere.url("/photo.png")})).await.expect(200);
    assert_eq!(website.contact(visitor.contact).await["thumbnail"], picture);
    assert_eq!(elsewhere.received().len(), 3, "it was not even asked for");
}
