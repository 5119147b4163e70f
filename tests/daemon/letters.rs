//! Mails that let people in: invitations, forgotten passwords, confirmations of an address (contract, section 1); and signing up.

use crate::desk::{PASSWORD, assert_names, stored};
use crate::harness::{Answer, Daemon, skipped};
use crate::mail_servers::MailServers;
use serde_json::{Value, json};

const SIGN_UP: &str = "/api/v1/accounts";
const NEW: &str = "Another-pass-2";

/// A daemon with a mail relay, where anybody may sign up; nothing where there are no mail servers.
async fn start() -> Option<(Daemon, MailServers)> {
    let Some(servers) = MailServers::start() else {
        skipped("letters", "needs Dovecot, Exim and openssl, and root's rights to start them");
        return None;
    };
    let relay = format!(
        "[signup]\nenabled = true\n[mail]\nhost = \"localhost\"\nport = {}\nsecurity = \"none\"\nfrom = \"desk@support.test\"\n",
        servers.smtp_port
    );
    Some((Daemon::builder().settings(&relay).start().await, servers))
}

/// The text of the latest mail of a mailbox that has so many.
fn letter(servers: &MailServers, mailbox: &str, count: usize) -> String {
    let mails = servers.wait_for(mailbox, |mails| mails.len() >= count);
    assert_eq!(mails.len(), count, "{mailbox} got more");
    let raw = &mails.last().unwrap().raw;
    // Quoted-printable, where a line was too long.
    raw.replace("\r\n", "\n").replace("=\n", "").replace("=3D", "=")
}

/// What follows a word, up to white space.
fn after<'a>(text: &'a str, word: &str) -> &'a str {
    let rest = text.split(word).nth(1).unwrap_or_else(|| panic!("no {word} in {text}"));
    rest.split_whitespace().next().unwrap()
}

async fn sign_in(daemon: &Daemon, email: &str, password: &str) -> Answer {
    daemon.visitor().post("/auth/sign_in", json!({"email": email, "password": password})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_invited_chooses_a_password_by_the_link_in_the_mail() {
    let Some((daemon, servers)) = start().await else { return };
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let fields = json!({"name": "Bob", "email": "bob@support.test", "role": "agent"});
    assert_eq!(admin.post(admin.a("/agents"), fields).await.expect(200).at("/confirmed"), false);
    admin.post(admin.a("/agents/bulk_create"), json!({"emails": ["carol@support.test"]})).await.expect(200);
    let text = letter(&servers, "bob", 1);
    assert!(text.contains("Subject: You are invited to Konversio") && text.contains("Administrator has added you"), "{text}");
    let token = after(&text, "/app/auth/password/edit?reset_password_token=").to_owned();
    assert_eq!(after(&text, "for its reset_password_token:"), token);
    assert!(!stored(&daemon).await.contains(&token), "what opens an account is not stored as it is");
    assert!(letter(&servers, "carol", 1).contains("reset_password_token"));

    let wrong = [
        (json!({"password": NEW}), "reset_password_token"),
        (json!({"reset_password_token": "nonsense", "password": NEW}), "reset_password_token"),
        (json!({"reset_password_token": token}), "password"),
        (json!({"reset_password_token": token, "password": "short"}), "password"),
        (json!({"reset_password_token": token, "password": NEW, "password_confirmation": "else"}), "password_confirmation"),
    ];
    for (body, field) in wrong {
        assert_names(&visitor.put("/auth/password", body).await, 422, field);
    }
    let chosen = json!({"reset_password_token": token, "password": NEW, "password_confirmation": NEW});
    let begun = visitor.put("/auth/password", chosen.clone()).await.expect(200);
    assert_eq!((begun.str("/data/email"), begun.at("/data/confirmed")), ("bob@support.test", &json!(true)));
    assert!(["access-token", "client", "uid", "expiry", "token-type"].iter().all(|name| begun.header(name).is_some()));
    assert_names(&visitor.put("/auth/password", chosen).await, 422, "reset_password_token");
    let bob = daemon.visitor().with_token(sign_in(&daemon, "bob@support.test", NEW).await.expect(200).str("/data/access_token"));
    bob.get(bob.a("/conversations")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_replaced_and_nobody_learns_who_is_known() {
    let Some((daemon, servers)) = start().await else { return };
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let fields = json!({"name": "Bob", "email": "bob@support.test", "role": "agent", "password": PASSWORD});
    admin.post(admin.a("/agents"), fields).await.expect(200);
    let before = sign_in(&daemon, "bob@support.test", PASSWORD).await.expect(200);
    let known = visitor.post("/auth/password", json!({"email": "Bob@support.test"})).await.expect(200);
    let unknown = visitor.post("/auth/password", json!({"email": "nobody@support.test"})).await.expect(200);
    assert!(!known.str("/message").is_empty());
    assert_eq!(known.text, unknown.text);
    assert_names(&visitor.post("/auth/password", json!({"email": "nobody"})).await, 422, "email");
    let token = after(&letter(&servers, "bob", 1), "reset_password_token=").to_owned();
    visitor.put("/auth/password", json!({"reset_password_token": token, "password": NEW})).await.expect(200);
    sign_in(&daemon, "bob@support.test", PASSWORD).await.expect(401);
    sign_in(&daemon, "bob@support.test", NEW).await.expect(200);
    let old = ["access-token", "client", "uid"].map(|name| (name, before.header(name).unwrap()));
    let request = old
        .into_iter()
        .fold(visitor.request(reqwest::Method::GET, "/api/v1/profile"), |request, (name, value)| request.header(name, value));
    visitor.answer(request).await.expect(401);
    assert!(servers.mails("nobody").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_up_is_let_in_once_the_address_is_confirmed() {
    let Some((daemon, servers)) = start().await else { return };
    let visitor = daemon.visitor();
    let email = "dan@support.test";
    let fields = json!({"account_name": "Dan's shop", "user_full_name": "Dan", "email": email, "password": PASSWORD, "locale": "de"});
    let answer = visitor.post(SIGN_UP, fields.clone()).await.expect(200);
    assert_eq!(answer.body, json!({"email": email}));
    assert_eq!(answer.header("access-token"), None);
    let refused = sign_in(&daemon, email, PASSWORD).await.expect(401);
    assert_eq!((refused.str("/error_code"), refused.at("/success")), ("user_not_confirmed", &json!(false)));
    let wrong = sign_in(&daemon, email, "wrong").await.expect(401);
    assert!(wrong.body.get("error_code").is_none(), "only who knows the password learns of the user: {}", wrong.text);
    let first = letter(&servers, "dan", 1);
    assert!(!first.contains("Dan's"), "a stranger does not choose what is read: {first}");

    visitor.post("/resend_confirmation", json!({"email": email})).await.expect(200);
    let nobody = visitor.post("/resend_confirmation", json!({"email": "nobody@support.test"})).await.expect(200);
    assert_eq!(nobody.text, "");
    let token = after(&letter(&servers, "dan", 2), "confirmation_token=").to_owned();
    assert_names(&visitor.post("/auth/confirmation", json!({"confirmation_token": "nonsense"})).await, 422, "confirmation_token");
    let begun = visitor.post("/auth/confirmation", json!({"confirmation_token": token})).await.expect(200);
    assert_eq!((begun.str("/data/role"), begun.at("/data/confirmed")), ("administrator", &json!(true)));
    assert!(begun.header("access-token").is_some());
    let earlier = after(&first, "confirmation_token=").to_owned();
    for used in [token, earlier] {
        assert_names(&visitor.post("/auth/confirmation", json!({"confirmation_token": used})).await, 422, "confirmation_token");
    }
    let account = sign_in(&daemon, email, PASSWORD).await.expect(200).id("/data/account_id");
    let dan = visitor.with_token(begun.str("/data/access_token")).with_account(account);
    let shown = dan.get(dan.a("")).await.expect(200);
    assert_eq!((shown.str("/name"), shown.str("/locale")), ("Dan's shop", "de"));

    // Signing up again looks the same, and only who reads the mail learns more.
    let again = visitor.post(SIGN_UP, fields).await.expect(200);
    assert_eq!(again.body, json!({"email": email}));
    assert!(letter(&servers, "dan", 3).contains("has an account already"));
    visitor.post("/resend_confirmation", json!({"email": email})).await.expect(200);
    sign_in(&daemon, email, PASSWORD).await.expect(200);
    assert_eq!(servers.mails("dan").len(), 3, "there is nothing to confirm any more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_sign_up_is_worth_nothing_once_its_owner_is_invited() {
    let Some((daemon, servers)) = start().await else { return };
    let (admin, visitor) = (daemon.client(), daemon.visitor());
    let email = "eve@support.test";
    let fields = json!({"account_name": "Trap", "user_full_name": "Mallory", "email": email, "password": PASSWORD});
    visitor.post(SIGN_UP, fields).await.expect(200);
    let confirmation = after(&letter(&servers, "eve", 1), "confirmation_token=").to_owned();
    admin.post(admin.a("/agents"), json!({"email": email, "role": "administrator", "password": PASSWORD})).await.expect(200);
    visitor.post("/auth/confirmation", json!({"confirmation_token": confirmation})).await.expect(422);
    sign_in(&daemon, email, PASSWORD).await.expect(401);
    let token = after(&letter(&servers, "eve", 2), "reset_password_token=").to_owned();
    visitor.put("/auth/password", json!({"reset_password_token": token, "password": NEW})).await.expect(200);
    sign_in(&daemon, email, PASSWORD).await.expect(401);
    let own = sign_in(&daemon, email, NEW).await.expect(200);
    let eve = visitor.with_token(own.str("/data/access_token"));
    eve.get(eve.a("/agents")).await.expect(200);
}

#[tokio::test]
async fn nobody_signs_up_where_it_is_not_allowed() {
    let daemon = Daemon::start().await;
    let fields = json!({"account_name": "Shop", "user_full_name": "Dan", "email": "dan@example.com", "password": PASSWORD});
    daemon.visitor().post(SIGN_UP, fields.clone()).await.expect(404);
    daemon.client().post(SIGN_UP, fields).await.expect(404);
    // Without a relay there are no letters; that is said whoever is asked about.
    let known = daemon.visitor().post("/auth/password", json!({"email": "admin@example.com"})).await.expect(422);
    assert!(known.str("/error").contains("[mail] host"), "{}", known.text);
    daemon.visitor().post("/resend_confirmation", json!({"email": "admin@example.com"})).await.expect(200);
}

#[tokio::test]
async fn without_a_mail_relay_who_signs_up_is_let_in_at_once() {
    let daemon = Daemon::builder().env("KONVERSIO__SIGNUP__ENABLED", "true").start().await;
    let visitor = daemon.visitor();
    let fields = json!({"account_name": "Shop", "user_full_name": "Dan", "email": "Dan@Example.com", "password": PASSWORD});
    for (field, value) in [
        ("account_name", json!(" ")),
        ("user_full_name", json!("")),
        ("email", json!("nobody")),
        ("password", json!("short")),
        ("password", json!(["x"])),
        ("locale", json!("english please")),
        ("email", json!("admin@example.com")),
    ] {
        let mut wrong = fields.clone();
        wrong[field] = value;
        assert_names(&visitor.post(SIGN_UP, wrong).await, 422, field);
    }
    let made = visitor.post(SIGN_UP, fields).await.expect(200);
    let names = "id provider uid name display_name email account_id created_at pubsub_token role inviter_id confirmed avatar_url \
                 access_token accounts";
    assert_eq!(crate::app::keys(made.at("/data")), crate::app::words(names));
    assert_eq!(crate::app::keys(made.at("/data/accounts/0")), crate::app::words("id name active_at role locale"));
    assert_eq!(
        (made.str("/data/email"), made.str("/data/role"), made.at("/data/confirmed")),
        ("dan@example.com", "administrator", &json!(true))
    );
    let account = made.id("/data/account_id");
    let session = ["access-token", "client", "uid"].map(|name| (name, made.header(name).unwrap().to_owned()));
    let path = format!("/api/v1/accounts/{account}/agents");
    let request = session.iter().fold(visitor.request(reqwest::Method::GET, &path), |request, (name, value)| request.header(*name, value));
    assert_eq!(visitor.answer(request).await.expect(200).body.as_array().unwrap().len(), 1);
    visitor.with_token(made.str("/data/access_token")).get("/api/v1/accounts/1/agents").await.expect(404);
    sign_in(&daemon, "dan@example.com", PASSWORD).await.expect(200);

    // Whoever is signed in makes another account.
    let dan = visitor.with_token(made.str("/data/access_token"));
    let second = dan.post(SIGN_UP, json!({"account_name": "Second"})).await.expect(200);
    assert_ne!(second.id("/data/account_id"), account);
    let named: Vec<&Value> = second.at("/data/accounts").as_array().unwrap().iter().map(|account| &account["name"]).collect();
    assert_eq!(named, ["Shop", "Second"]);
    visitor.with_token("wrong").post(SIGN_UP, json!({"account_name": "Third"})).await.expect(401);
}
