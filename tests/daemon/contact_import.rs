//! Contacts in whole files: imported row by row, exported without a formula in a cell.

use crate::app::{agent, count};
use crate::desk::{assert_names, assert_refused};
use crate::harness::{Answer, Client, Daemon, SOON, eventually};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

async fn import(client: &Client, csv: impl Into<Vec<u8>>) -> Answer {
    let form = Form::new().part("import_file", Part::bytes(csv.into()).file_name("contacts.csv").mime_str("text/csv").unwrap());
    client.post_form(client.a("/contacts/import"), form).await
}

/// The latest transfer, once it is over.
async fn finished(client: &Client, which: &str) -> Value {
    let path = client.a(&format!("/contacts/{which}"));
    eventually(SOON, async || Some(client.get(&path).await.expect(200).body["payload"].take()).filter(|shown| shown["status"] != "running"))
        .await
}

async fn text(client: &Client, url: &Value) -> String {
    client.answer(client.request(Method::GET, url.as_str().unwrap())).await.expect(200).text
}

async fn found(client: &Client, words: &str) -> Value {
    client.get(client.a(&format!("/contacts/search?q={words}"))).await.expect(200).at("/payload/0").clone()
}

#[tokio::test]
async fn rows_create_contacts_or_change_those_they_name() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let known = json!({"name": "Old", "email": "known@example.com", "phone_number": "+491511", "custom_attributes": {"plan": "free", "kept": "yes"}});
    admin.post(admin.a("/contacts"), known).await.expect(200);
    let csv = "\u{feff}id,name,email,phone_number,identifier,company_name,Plan\n\
        77,\"Lovelace, Ada\",ADA@example.com,,a-1,Engines Ltd,gold\n\
        ,New,known@example.com,,,,gold\n\
        ,Nobody,,,,,\n\
        ,Wrong,wrong,,,,\n\
        ,Taken,,+491511,a-1,,\n\
        ,Later,,,a-1,,silver\n";
    let answer = import(&admin, csv).await.expect(200);
    assert_eq!(answer.text, "");
    let report = finished(&admin, "import").await;
    assert_eq!((&report["status"], &report["rows_done"], &report["rows_rejected"]), (&json!("finished"), &json!(3), &json!(3)));
    let ada = found(&admin, "a-1").await;
    assert_eq!((&ada["name"], &ada["email"], &ada["identifier"]), (&json!("Later"), &json!("ada@example.com"), &json!("a-1")));
    assert_eq!(ada["additional_attributes"], json!({"company_name": "Engines Ltd"}));
    assert_eq!(ada["custom_attributes"], json!({"plan": "silver"}));
    let known = found(&admin, "known@example.com").await;
    assert_eq!((&known["name"], &known["phone_number"]), (&json!("New"), &json!("+491511")), "an empty cell changes nothing");
    assert_eq!(known["custom_attributes"], json!({"plan": "gold", "kept": "yes"}));
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM contacts").await, 2);

    let rejected = text(&admin, &report["file_url"]).await;
    let lines: Vec<&str> = rejected.lines().collect();
    assert_eq!(lines.len(), 4, "{rejected}");
    assert_eq!(lines[0], "id,name,email,phone_number,identifier,company_name,plan,errors");
    for (line, name, words) in
        [(1, "Nobody", "one of email"), (2, "Wrong", "Email is invalid"), (3, "Taken", "Phone number has already been taken")]
    {
        assert!(lines[line].contains(name) && lines[line].contains(words), "{}", lines[line]);
    }
    // The same file once more changes nothing, and replaces the report.
    import(&admin, csv).await.expect(200);
    assert!(finished(&admin, "import").await["id"].as_i64() > report["id"].as_i64());
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM contacts").await, 2);
    eventually(SOON, async || (count(&daemon, "SELECT COUNT(*) FROM blobs").await == 1).then_some(())).await;
}

#[tokio::test]
async fn what_is_no_file_of_contacts_is_refused() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let member = agent(&daemon, "Ada").await;
    assert_refused(&import(&member.client, "email\na@b.c\n").await, 401);
    assert_refused(&member.client.get(admin.a("/contacts/export")).await, 401);
    assert_names(&admin.post_form(admin.a("/contacts/import"), Form::new().text("x", "y")).await, 422, "import_file");
    for wrong in [b"".as_slice(), b"name,plan\na,b\n", b"\xff\xfe\x00email\n"] {
        assert_names(&import(&admin, wrong).await, 422, "import_file");
    }
    admin.get(admin.a("/contacts/import")).await.expect(404);
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM blobs").await, 0);
    // One row that is not UTF-8 spoils nothing but itself.
    import(&admin, b"email,name\na@example.com,\xff\nb@example.com,Bob\n".as_slice()).await.expect(200);
    let report = finished(&admin, "import").await;
    assert_eq!((&report["rows_done"], &report["rows_rejected"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn an_import_that_a_crash_cut_off_is_finished_after_the_next_start() {
    let mut daemon = Daemon::start().await;
    let admin = daemon.client();
    let rows: String = (0..2000).map(|number| format!("person{number}@example.com,Person {number}\n")).collect();
    let (csv, client) = (format!("email,name\n{rows}"), admin.clone());
    let form = Form::new().part("import_file", Part::bytes(csv.into_bytes()).file_name("contacts.csv"));
    let request = client.request(Method::POST, &client.a("/contacts/import")).multipart(form);
    let posting = tokio::spawn(async move { client.try_answer(request).await.map(|_| ()) });
    eventually(SOON, async || (count(&daemon, "SELECT COUNT(*) FROM contacts").await > 20).then_some(())).await;
    daemon.kill();
    let _ = posting.await.unwrap();
    daemon.restart().await;
    let admin = daemon.client();
    let path = admin.a("/contacts/import");
    let report = eventually(SOON * 4, async || {
        Some(admin.get(&path).await.expect(200).body["payload"].take()).filter(|shown| shown["status"] == "finished")
    })
    .await;
    assert_eq!((&report["rows_done"], &report["rows_rejected"]), (&json!(2000), &json!(0)));
    assert_eq!(count(&daemon, "SELECT COUNT(*) FROM contacts").await, 2000);
}

#[tokio::test]
async fn exports_hold_what_was_asked_and_no_formulas() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let evil = json!({"name": "=HYPERLINK(\"http://evil\")", "phone_number": "+491511", "custom_attributes": {"plan": "@SUM(1)"}});
    let evil = admin.post(admin.a("/contacts"), evil).await.expect(200).id("/payload/contact/id");
    let ada = admin.post(admin.a("/contacts"), json!({"name": "Lovelace, Ada", "email": "ada@example.com"})).await.expect(200);
    let ada = ada.id("/payload/contact/id");
    admin.post(admin.a("/contacts"), json!({"name": "Nobody knows"})).await.expect(200);
    assert_eq!(admin.post(admin.a("/contacts/export"), json!({})).await.expect(200).text, "");
    let exported = finished(&admin, "export").await;
    assert_eq!((&exported["status"], &exported["rows_done"]), (&json!("finished"), &json!(2)));
    let expected = format!(
        "id,name,email,phone_number\n{evil},\"'=HYPERLINK(\"\"http://evil\"\")\",,+491511\n{ada},\"Lovelace, Ada\",ada@example.com,\n"
    );
    assert_eq!(text(&admin, &exported["file_url"]).await, expected);

    admin.post(admin.a(&format!("/contacts/{evil}/labels")), json!({"labels": ["vip"]})).await.expect(200);
    let asked = json!({"column_names": ["phone_number", "plan"], "label": "VIP"});
    admin.post(admin.a("/contacts/export"), asked).await.expect(200);
    let labelled = finished(&admin, "export").await;
    assert_eq!(text(&admin, &labelled["file_url"]).await, "phone_number,plan\n+491511,'@SUM(1)\n");
    // Only the latest is kept.
    let before = exported["file_url"].as_str().unwrap();
    eventually(SOON, async || (admin.answer(admin.request(Method::GET, before)).await.status == 404).then_some(())).await;
    let filter =
        |key: &str, value: &str| json!([{"attribute_key": key, "filter_operator": "equal_to", "values": [value], "query_operator": null}]);
    let filtered = json!({"column_names": ["id"], "payload": filter("email", "ADA@example.com")});
    admin.post(admin.a("/contacts/export"), filtered).await.expect(200);
    assert_eq!(text(&admin, &finished(&admin, "export").await["file_url"]).await, format!("id\n{ada}\n"));
    let both = json!({"column_names": ["id"], "label": "vip", "payload": filter("email", "ada@example.com")});
    admin.post(admin.a("/contacts/export"), both).await.expect(200);
    assert_eq!(text(&admin, &finished(&admin, "export").await["file_url"]).await, "id\n", "label and filter");
    assert_refused(&admin.post(admin.a("/contacts/export"), json!({"payload": filter("status", "open")})).await, 422);
    assert_refused(&admin.post(admin.a("/contacts/export"), json!({"payload": "all"})).await, 422);
}
