//! The API channel as customers' systems use it: the manual's flow, and the client API (contract, section 5) in full.

use crate::app::{act, agent, api_inbox, contents, customer, hear, hmac_sha256, join, keys, say, show, talk, words};
use crate::harness::{Client, Daemon, Receiver, SOON};
use serde_json::{Value, json};

#[tokio::test]
async fn the_manuals_flow_from_the_first_message_to_the_reply_in_the_webhook() {
    let (daemon, receiver) = tokio::join!(Daemon::start(), Receiver::start());
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({"name": "Mobile app"})).await;
    let agent = agent(&daemon, "Ada").await;
    join(&admin, inbox.id, &[&agent]).await;
    let webhook = json!({"url": receiver.url("/hook"), "subscriptions": ["message_created"]});
    admin.post(admin.a("/webhooks"), webhook).await.expect(200);

    // The manual allows the token in the query as well.
    let in_query = format!("?api_access_token={}", daemon.site().token().unwrap());
    let visitor = daemon.visitor();
    visitor.post(visitor.a("/contacts"), json!({"name": "x"})).await.expect(401);
    let contact = json!({"inbox_id": inbox.id, "name": "Mia", "identifier": "user-7", "email": "Mia@Example.com"});
    let contact = visitor.post(visitor.a(&format!("/contacts{in_query}")), contact).await.expect(200);
    assert_eq!(contact.str("/payload/contact/email"), "mia@example.com");
    assert_eq!(contact.id("/payload/contact_inbox/inbox/id"), inbox.id);
    let opened = json!({"inbox_id": inbox.id, "contact_id": contact.id("/payload/contact/id")});
    let conversation = admin.post(admin.a("/conversations"), opened).await.expect(200).id("/id");
    let question = hear(&admin, conversation, "Where is my order?").await;
    let answer = say(&agent.client, conversation, "On its way.").await;

    let received = receiver.wait_for(2, SOON).await;
    let of_types: Vec<_> = received.iter().map(|one| (one.json["id"].as_i64(), one.json["message_type"].as_str())).collect();
    assert_eq!(of_types, [(Some(question), Some("incoming")), (Some(answer), Some("outgoing"))]);
    let reply = &received[1].json;
    assert_eq!(reply["event"], "message_created");
    assert_eq!(reply["content"], "On its way.");
    assert_eq!(reply["conversation"]["id"], conversation);
    assert_eq!(reply["conversation"]["contact_inbox"]["source_id"], *contact.at("/payload/contact_inbox/source_id"));
    assert_eq!(reply["conversation"]["meta"]["sender"]["identifier"], "user-7");
    assert_eq!(reply["sender"], json!({"id": agent.id, "name": "Ada", "email": "ada@example.com", "type": "user"}));
}

#[tokio::test]
async fn the_profile_route_creates_or_finds_a_contact_of_the_inbox_it_names() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let inbox = api_inbox(&admin, json!({})).await;
    let wanted = json!({"inbox_identifier": inbox.identifier, "identifier": "user-1", "name": "Noa"});
    let first = visitor.post("/api/v1/profile", wanted.clone()).await.expect(200);
    let again = visitor.post("/api/v1/profile", wanted).await.expect(200);
    assert_eq!(first.body, again.body);
    assert_eq!(first.str("/name"), "Noa");
    let shown = admin.get(admin.a(&format!("/contacts/{}", first.id("/id")))).await.expect(200);
    assert_eq!(shown.str("/payload/identifier"), "user-1");
    assert_eq!(shown.at("/payload/contact_inboxes/0/source_id"), first.at("/source_id"));

    visitor.post("/api/v1/profile", json!({"inbox_identifier": "nobody's", "identifier": "user-1"})).await.expect(404);
    visitor.post("/api/v1/profile", json!({"name": "Nobody"})).await.expect(401);
    let renamed = admin.post("/api/v1/profile", json!({"profile": {"name": "Root"}})).await.expect(200);
    assert_eq!(renamed.str("/name"), "Root");
}

#[tokio::test]
async fn a_stable_identifier_continues_and_none_begins_anew() {
    let daemon = Daemon::start().await;
    let visitor = daemon.visitor();
    let inbox = api_inbox(&daemon.client(), json!({})).await;
    let app = App::of(&visitor, &inbox.identifier);

    let first = app.contact(json!({"identifier": "user-1"})).await;
    let conversation = app.open(&first).await;
    app.write(&first, conversation, json!({"content": "I was here"})).await.expect(200);
    let again = app.contact(json!({"identifier": "user-1", "name": "Ignored"})).await;
    assert_eq!(again, first, "the same contact, address and token");
    let known = visitor.get(app.path(&again, "/conversations")).await.expect(200);
    assert_eq!(known.id("/0/id"), conversation);
    assert_eq!(known.str("/0/messages/0/content"), "I was here");
    // Found by its address in the inbox, by e-mail, by phone number, in this order.
    assert_eq!(app.contact(json!({"source_id": first["source_id"]})).await["id"], first["id"]);
    let by_mail = app.contact(json!({"email": "a@example.com", "phone_number": "+4915112345678"})).await;
    assert_eq!(app.contact(json!({"email": "A@example.com"})).await["id"], by_mail["id"]);
    assert_eq!(app.contact(json!({"phone_number": "+4915112345678"})).await["id"], by_mail["id"]);
    assert_ne!(by_mail["id"], first["id"]);

    let (one, other) = (app.contact(json!({})).await, app.contact(json!({})).await);
    assert_ne!(one["id"], other["id"]);
    assert_ne!(one["source_id"], other["source_id"]);
    assert!(one["name"].as_str().unwrap().split([' ', '-']).count() >= 2, "a random name of two words: {one}");
    assert_ne!(app.open(&one).await, app.open(&other).await);
}

#[tokio::test]
async fn contacts_of_the_client_api_are_shown_and_changed() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let inbox = api_inbox(&admin, json!({"name": "Shop"})).await;
    let app = App::of(&visitor, &inbox.identifier);

    let shown = visitor.get(format!("/public/api/v1/inboxes/{}", inbox.identifier)).await.expect(200);
    let names =
        "identifier identity_validation_enabled name timezone working_hours working_hours_enabled csat_survey_enabled greeting_enabled";
    assert_eq!(keys(&shown.body), words(names));
    assert_eq!((shown.str("/name"), shown.str("/identifier")), ("Shop", inbox.identifier.as_str()));
    assert_eq!(shown.at("/identity_validation_enabled"), false);
    assert_eq!(shown.at("/working_hours").as_array().unwrap().len(), 7);
    visitor.get("/public/api/v1/inboxes/unknown").await.expect(404);

    let contact = app.contact(json!({"identifier": "u", "name": "Lea", "custom_attributes": {"plan": "gold"}})).await;
    assert_eq!(keys(&contact), words("source_id pubsub_token id name email phone_number"));
    assert_eq!(contact["email"], Value::Null);
    assert_eq!(visitor.get(app.path(&contact, "")).await.expect(200).body, contact);
    let update = json!({"name": "Lea B.", "email": "LEA@example.com", "custom_attributes": {"age": 30}});
    let updated = visitor.patch(app.path(&contact, ""), update).await.expect(200);
    assert_eq!((updated.str("/name"), updated.str("/email")), ("Lea B.", "lea@example.com"));
    let stored = admin.get(admin.a(&format!("/contacts/{}", contact["id"]))).await.expect(200);
    assert_eq!(stored.at("/payload/custom_attributes"), &json!({"plan": "gold", "age": 30}));
    let refused = visitor.patch(app.path(&contact, ""), json!({"phone_number": "0151"})).await.expect(422);
    assert_eq!(refused.at("/attributes"), &json!(["phone_number"]));
    visitor.get(app.path(&json!({"source_id": "unknown"}), "")).await.expect(404);
}

#[tokio::test]
async fn conversations_of_the_client_api_from_the_first_message_to_the_end() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let inbox = api_inbox(&admin, json!({})).await;
    let app = App::of(&visitor, &inbox.identifier);
    let (contact, stranger) = (app.contact(json!({"identifier": "u"})).await, app.contact(json!({"identifier": "v"})).await);

    let opened = visitor.post(app.path(&contact, "/conversations"), json!({"custom_attributes": {"page": "/cart"}})).await.expect(200);
    assert_eq!(keys(&opened.body), words("id uuid inbox_id contact_last_seen_at status agent_last_seen_at messages contact"));
    assert_eq!((opened.id("/inbox_id"), opened.str("/status"), opened.id("/contact_last_seen_at")), (inbox.id, "open", 0));
    assert_eq!(opened.at("/contact/id"), &contact["id"]);
    let id = opened.id("/id");
    assert_eq!(show(&admin, id).await.at("/custom_attributes"), &json!({"page": "/cart"}));

    let written = app.write(&contact, id, json!({"content": "hello", "echo_id": "e1", "message_type": "outgoing"})).await.expect(200);
    let names = "id content message_type content_type content_attributes created_at conversation_id sender echo_id";
    assert_eq!(keys(&written.body), words(names));
    assert_eq!((written.id("/message_type"), written.id("/conversation_id")), (0, id), "always incoming");
    assert_eq!((written.str("/echo_id"), written.str("/sender/type")), ("e1", "contact"));
    app.write(&contact, id, json!({"content": "  "})).await.expect(422);

    say(&admin, id, "hi").await;
    crate::app::post(&admin, id, json!({"content": "between us", "private": true})).await.expect(200);
    act(&admin, id, "toggle_priority", json!({"priority": "high"})).await.expect(200);
    let path = app.path(&contact, &format!("/conversations/{id}"));
    let listed = visitor.get(format!("{path}/messages")).await.expect(200);
    let said = |list: &Value| list.as_array().unwrap().iter().map(|one| one["content"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(said(&listed.body), ["hello", "hi"], "neither the note nor the activity");
    assert_eq!(listed.at("/1/sender/type"), "user");
    let before = visitor.get(format!("{path}/messages?before={}", listed.id("/1/id"))).await.expect(200);
    assert_eq!(said(&before.body), ["hello"]);

    assert_eq!(visitor.post(format!("{path}/update_last_seen"), json!({})).await.expect(200).text, "");
    assert!(visitor.get(&path).await.expect(200).id("/contact_last_seen_at") > 0);
    assert_eq!(visitor.post(format!("{path}/toggle_typing"), json!({"typing_status": "on"})).await.expect(200).text, "");
    visitor.post(format!("{path}/toggle_typing"), json!({"typing_status": "maybe"})).await.expect(422);

    for _ in 0..2 {
        let resolved = visitor.post(format!("{path}/toggle_status"), json!({})).await.expect(200);
        assert_eq!(resolved.str("/status"), "resolved", "and once more changes nothing");
    }
    let activities = contents(&admin, id).await.into_iter().filter(|content| content.contains("resolved")).count();
    assert_eq!(activities, 1);
    app.write(&contact, id, json!({"content": "one more thing"})).await.expect(200);
    assert_eq!(visitor.get(&path).await.expect(200).str("/status"), "open");

    // Nobody sees or writes into the conversation of another.
    for suffix in ["", "/messages"] {
        visitor.get(app.path(&stranger, &format!("/conversations/{id}{suffix}"))).await.expect(404);
    }
    app.write(&stranger, id, json!({"content": "me too"})).await.expect(404);
    assert_eq!(visitor.get(app.path(&stranger, "/conversations")).await.expect(200).body, json!([]));
}

#[tokio::test]
async fn an_inbox_that_keeps_to_one_conversation_opens_no_other() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let single = api_inbox(&admin, json!({"lock_to_single_conversation": true})).await;
    let app = App::of(&visitor, &single.identifier);
    let contact = app.contact(json!({"identifier": "u"})).await;
    let first = app.open(&contact).await;
    act(&admin, first, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(app.open(&contact).await, first);
    let many = api_inbox(&admin, json!({"lock_to_single_conversation": false})).await;
    let app = App::of(&visitor, &many.identifier);
    let contact = app.contact(json!({"identifier": "u"})).await;
    assert_ne!(app.open(&contact).await, app.open(&contact).await);
}

#[tokio::test]
async fn an_identity_is_proven_with_the_key_of_the_inbox() {
    let daemon = Daemon::start().await;
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let free = api_inbox(&admin, json!({})).await;
    let strict = api_inbox(&admin, json!({"channel": {"hmac_mandatory": true}})).await;
    let proof = |key: &str| hex::encode(hmac_sha256(key, b"user-1"));
    let right = proof(&strict.hmac_token);
    let wrong = [
        ("wrong", "0".repeat(64)),
        ("other inbox's key", proof(&free.hmac_token)),
        ("upper case", right.to_uppercase()),
        ("truncated", right[..62].to_owned()),
        ("longer", format!("{right}00")),
        ("of another identifier", hex::encode(hmac_sha256(&strict.hmac_token, b"user-2"))),
        ("key is the public identifier", proof(&strict.identifier)),
    ];
    let contacts = |identifier: &str| format!("/public/api/v1/inboxes/{identifier}/contacts");
    for (case, hash) in &wrong {
        let wanted = json!({"identifier": "user-1", "identifier_hash": hash});
        assert_eq!(visitor.post(contacts(&strict.identifier), wanted).await.status, 401, "{case}");
        let profile = json!({"inbox_identifier": strict.identifier, "identifier": "user-1", "identifier_hash": hash});
        assert_eq!(visitor.post("/api/v1/profile", profile).await.status, 401, "{case}, by the profile route");
    }
    // Without a proof: refused where it is mandatory, unproven where not. A wrong one is refused everywhere.
    visitor.post(contacts(&strict.identifier), json!({"identifier": "user-1"})).await.expect(401);
    visitor.post(contacts(&strict.identifier), json!({})).await.expect(401);
    visitor.post(contacts(&free.identifier), json!({"identifier": "user-1", "identifier_hash": wrong[0].1})).await.expect(401);
    assert_eq!(admin.get(admin.a("/contacts")).await.expect(200).id("/meta/count"), 0, "nobody was created");

    let proven = App::of(&visitor, &strict.identifier);
    let contact = proven.contact(json!({"identifier": "user-1", "identifier_hash": right})).await;
    let conversation = proven.open(&contact).await;
    assert_eq!(show(&admin, conversation).await.at("/meta/hmac_verified"), true);
    visitor.patch(proven.path(&contact, ""), json!({"name": "Eve"})).await.expect(401);
    let update = json!({"name": "Mia", "identifier": "user-1", "identifier_hash": right});
    assert_eq!(visitor.patch(proven.path(&contact, ""), update).await.expect(200).str("/name"), "Mia");

    let unproven = App::of(&visitor, &free.identifier);
    let contact = unproven.contact(json!({"identifier": "user-9"})).await;
    let conversation = unproven.open(&contact).await;
    assert_eq!(show(&admin, conversation).await.at("/meta/hmac_verified"), false);
    assert_eq!(visitor.get(contacts(&strict.identifier).replace("/contacts", "")).await.body["identity_validation_enabled"], true);
}

#[tokio::test]
async fn contacts_are_listed_found_and_unique() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    for number in 0..17 {
        customer(&admin, inbox.id, &format!("user-{number:02}")).await;
    }
    admin.post(admin.a("/contacts"), json!({"name": "Nobody known"})).await.expect(200);
    let pages = ["?page=1", "?page=2", "?page=3"].map(|page| admin.a(&format!("/contacts{page}")));
    let mut sizes = Vec::new();
    for page in pages {
        let page = admin.get(page).await.expect(200);
        assert_eq!(page.id("/meta/count"), 17, "only those of whom something is known");
        sizes.push(page.at("/payload").as_array().unwrap().len());
    }
    assert_eq!(sizes, [15, 2, 0], "an empty page after the last");
    let found = admin.get(admin.a("/contacts/search?q=USER-03")).await.expect(200);
    assert_eq!(found.str("/payload/0/identifier"), "user-03");
    assert_eq!((found.id("/meta/count"), found.at("/meta/has_more")), (1, &json!(false)));
    assert!(found.body["payload"][0].get("last_activity_at").is_none(), "absent while there is none: {}", found.text);
    assert!(found.at("/payload/0/created_at").is_i64());
    let taken = admin.post(admin.a("/contacts"), json!({"identifier": "user-03"})).await.expect(422);
    assert_eq!(taken.at("/attributes"), &json!(["identifier"]));
    assert!(taken.body["message"].is_string() && taken.body["error"].is_string());
    let other = talk(&admin, inbox.id, "writer").await;
    hear(&admin, other, "hi").await;
    assert!(admin.get(admin.a("/contacts/search?q=writer")).await.at("/payload/0/last_activity_at").is_i64());
}

/// The client API of one inbox.
struct App<'a> {
    client: &'a Client,
    identifier: &'a str,
}

impl<'a> App<'a> {
    fn of(client: &'a Client, identifier: &'a str) -> Self {
        App { client, identifier }
    }

    async fn contact(&self, fields: Value) -> Value {
        self.client.post(format!("/public/api/v1/inboxes/{}/contacts", self.identifier), fields).await.expect(200).body
    }

    fn path(&self, contact: &Value, rest: &str) -> String {
        format!("/public/api/v1/inboxes/{}/contacts/{}{rest}", self.identifier, contact["source_id"].as_str().unwrap())
    }

    async fn open(&self, contact: &Value) -> i64 {
        self.client.post(self.path(contact, "/conversations"), json!({})).await.expect(200).id("/id")
    }

    async fn write(&self, contact: &Value, conversation: i64, message: Value) -> crate::harness::Answer {
        self.client.post(self.path(contact, &format!("/conversations/{conversation}/messages")), message).await
    }
}
