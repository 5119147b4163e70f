//! The second factor (contract, section 1): turned on with a first code, asked for after the password, each code good once.

use crate::desk::{PASSWORD, assert_names, assert_refused, member, stored};
use crate::harness::{Answer, Client, Daemon};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

const MFA: &str = "/api/v1/profile/mfa";

/// The code of so many steps from now.
fn code(secret: &str, steps: u64) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).build().unwrap();
    totp.generate(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 30 * steps).to_string()
}

async fn password(daemon: &Daemon) -> Answer {
    daemon.visitor().post("/auth/sign_in", json!({"email": "ada@example.com", "password": PASSWORD})).await
}

/// The second step of a sign-in.
async fn second(daemon: &Daemon, token: &str, more: Value) -> Answer {
    let mut body = json!({"mfa_token": token});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    daemon.visitor().post("/auth/sign_in", body).await
}

/// Turns it on; the key, the code that did, and the backup codes.
async fn turn_on(client: &Client) -> (String, String, Vec<String>) {
    let begun = client.post(MFA, json!({})).await.expect(200);
    let secret = begun.str("/secret").to_owned();
    let url = begun.str("/provisioning_url");
    assert!(url.starts_with("otpauth://totp/Konversio:ada%40example.com?") && url.contains(&format!("secret={secret}")), "{url}");
    let used = code(&secret, 0);
    let on = client.post(format!("{MFA}/verify"), json!({"otp_code": used})).await.expect(200);
    assert_eq!(on.at("/enabled"), true);
    let codes = on.at("/backup_codes").as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect();
    (secret, used, codes)
}

#[tokio::test]
async fn a_password_alone_does_not_sign_in_any_more() {
    let daemon = Daemon::start().await;
    let (ada, _) = member(&daemon, "ada@example.com", "agent").await;
    assert_eq!(ada.get(MFA).await.expect(200).body, json!({"feature_available": true, "enabled": false, "backup_codes_generated": false}));
    let begun = ada.post(MFA, json!({})).await.expect(200);
    assert_names(&ada.post(format!("{MFA}/verify"), json!({"otp_code": "000000"})).await, 422, "otp_code");
    password(&daemon).await.expect(200);
    let earlier = password(&daemon).await.expect(200);
    let (secret, used, backup) = turn_on(&ada).await;
    assert_ne!(secret, begun.str("/secret"), "beginning again gives another key");
    assert_eq!(backup.len(), 10);
    assert_eq!(ada.get(MFA).await.expect(200).body, json!({"feature_available": true, "enabled": true, "backup_codes_generated": true}));
    let old = ["access-token", "client", "uid"].map(|name| (name, earlier.header(name).unwrap()));
    let visitor = daemon.visitor();
    let request = old
        .into_iter()
        .fold(visitor.request(reqwest::Method::GET, "/api/v1/profile"), |request, (name, value)| request.header(name, value));
    visitor.answer(request).await.expect(401);

    let asked = password(&daemon).await.expect(206);
    assert_eq!((asked.at("/mfa_required"), asked.header("access-token")), (&json!(true), None));
    let token = asked.str("/mfa_token");
    second(&daemon, token, json!({})).await.expect(401);
    second(&daemon, token, json!({"otp_code": "000000"})).await.expect(401);
    assert_eq!(second(&daemon, token, json!({"otp_code": used})).await.expect(401).at("/success"), false, "that code was used");
    let next = code(&secret, 1);
    let signed_in = second(&daemon, token, json!({"otp_code": next})).await.expect(200);
    assert_eq!(signed_in.str("/data/email"), "ada@example.com");
    assert!(signed_in.header("access-token").is_some());
    second(&daemon, token, json!({"backup_code": backup[0]})).await.expect(401);
    let token = password(&daemon).await.expect(206).str("/mfa_token").to_owned();
    second(&daemon, &token, json!({"otp_code": next})).await.expect(401);
    second(&daemon, &token, json!({"backup_code": backup[0]})).await.expect(200);
    let token = password(&daemon).await.expect(206).str("/mfa_token").to_owned();
    second(&daemon, &token, json!({"backup_code": backup[0]})).await.expect(401);
    second(&daemon, &token, json!({"backup_code": backup[1]})).await.expect(200);
    let kept = stored(&daemon).await;
    assert!(!kept.contains(&secret) && backup.iter().all(|code| !kept.contains(code)), "neither key nor codes are stored as they are");
}

#[tokio::test]
async fn wrong_codes_make_a_sign_in_void() {
    let daemon = Daemon::start().await;
    let (ada, _) = member(&daemon, "ada@example.com", "agent").await;
    let (_, _, backup) = turn_on(&ada).await;
    let token = password(&daemon).await.expect(206).str("/mfa_token").to_owned();
    for _ in 0..5 {
        second(&daemon, &token, json!({"otp_code": "000000"})).await.expect(401);
    }
    second(&daemon, &token, json!({"backup_code": backup[0]})).await.expect(401);
    second(&daemon, "nonsense", json!({"backup_code": backup[0]})).await.expect(401);
    let late = password(&daemon).await.expect(206).str("/mfa_token").to_owned();
    let aged = "UPDATE one_time_tokens SET expires_at = '2020-01-01 00:00:00+00:00'";
    crate::app::execute(&daemon, aged, aged).await;
    second(&daemon, &late, json!({"backup_code": backup[0]})).await.expect(401);
    let token = password(&daemon).await.expect(206).str("/mfa_token").to_owned();
    second(&daemon, &token, json!({"backup_code": backup[0]})).await.expect(200);
}

#[tokio::test]
async fn it_is_renewed_and_turned_off_with_proof_only() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (ada, _) = member(&daemon, "ada@example.com", "agent").await;
    assert_refused(&ada.post(format!("{MFA}/verify"), json!({"otp_code": "123456"})).await, 422);
    assert_refused(&ada.post(format!("{MFA}/backup_codes"), json!({"otp_code": "123456"})).await, 422);
    assert_refused(&ada.delete_with(MFA, json!({"password": PASSWORD, "otp_code": "123456"})).await, 422);
    let (secret, _, backup) = turn_on(&ada).await;
    assert_refused(&ada.post(MFA, json!({})).await, 422);
    assert_names(&ada.post(format!("{MFA}/backup_codes"), json!({"otp_code": "000000"})).await, 422, "otp_code");
    let renewed = ada.post(format!("{MFA}/backup_codes"), json!({"otp_code": code(&secret, 1)})).await.expect(200);
    let new = renewed.str("/backup_codes/0").to_owned();
    for (wrong, field) in [
        (json!({"backup_code": new}), "password"),
        (json!({"password": "wrong", "backup_code": new}), "password"),
        (json!({"password": PASSWORD}), "otp_code"),
        (json!({"password": PASSWORD, "backup_code": backup[0]}), "otp_code"),
    ] {
        assert_names(&ada.delete_with(MFA, wrong).await, 422, field);
    }
    password(&daemon).await.expect(206);
    let off = ada.delete_with(MFA, json!({"password": PASSWORD, "backup_code": new})).await.expect(200);
    assert_eq!(off.body, json!({"enabled": false}));
    password(&daemon).await.expect(200);
    let noted = admin.get(admin.a("/audit_logs")).await.expect(200);
    let changes: Vec<&Value> =
        noted.at("/audit_logs").as_array().unwrap().iter().map(|entry| &entry["audited_changes"]["second_factor"]).collect();
    assert!(changes.contains(&&json!([false, true])) && changes.contains(&&json!([true, false])), "{changes:?}");
}
