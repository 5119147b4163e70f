//! Search: messages by words, contacts by parts, and only what the caller may see.

use crate::app::{act, agent, api_inbox, hear, join, post, say, talk};
use crate::harness::{Answer, Client, Daemon};
use serde_json::{Value, json};

fn texts(answer: &Answer, pointer: &str, field: &str) -> Vec<String> {
    let list = answer.at(pointer).as_array().unwrap().iter();
    list.map(|shown| shown[field].as_str().map_or_else(|| shown[field].to_string(), str::to_owned)).collect()
}

async fn said(client: &Client, q: &str) -> Vec<String> {
    texts(&client.get(client.a(&format!("/search/messages?q={q}"))).await.expect(200), "/payload/messages", "content")
}

#[tokio::test]
async fn messages_are_found_by_their_words() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (shop, office) = (api_inbox(&admin, json!({"name": "Shop"})).await, api_inbox(&admin, json!({})).await);
    let ada = agent(&daemon, "ada").await;
    join(&admin, shop.id, &[&ada]).await;
    let (one, two) = (talk(&admin, shop.id, "mia").await, talk(&admin, office.id, "tom").await);
    let refund = hear(&admin, one, "Where is my refund? It's 50% late").await;
    say(&admin, one, "Refunds go to mia@example.com").await;
    hear(&admin, two, "refund of the other office").await;
    act(&admin, one, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(said(&admin, "late+REFUND").await, ["Where is my refund? It's 50% late"], "every word, whatever the case");
    assert_eq!(said(&admin, "refund").await.len(), 3, "also the beginning of a word");
    assert_eq!(said(&admin, "fund").await, [""; 0], "not its end");
    assert_eq!(said(&admin, "example").await, ["Refunds go to mia@example.com"], "a part of an address");
    assert_eq!(said(&ada.client, "refund").await.len(), 2, "not of inboxes that the caller may not see");
    assert_eq!(said(&admin, "resolved").await, [""; 0], "activities are not searched");
    for q in ["%25", "%22", "%27", "*", "OR", "NEAR(a+b)", "refund*%22", "-", "%3A*%26%21%7C"] {
        assert!(admin.get(admin.a(&format!("/search?q={q}"))).await.status == 200, "{q}");
    }
    let found = admin.get(admin.a("/search/messages?q=late")).await.expect(200);
    let message = found.at("/payload/messages/0");
    assert_eq!((&message["id"], &message["conversation_id"], &message["inbox"]["name"]), (&json!(refund), &json!(one), &json!("Shop")));
    admin.delete(admin.a(&format!("/conversations/{one}/messages/{refund}"))).await.expect(200);
    assert_eq!(said(&admin, "late").await, [""; 0], "what was taken back is not found");
    assert_eq!(said(&admin, "refund").await.len(), 2);
}

#[tokio::test]
async fn conversations_are_found_by_what_was_said() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (shop, office) = (api_inbox(&admin, json!({})).await, api_inbox(&admin, json!({})).await);
    let ada = agent(&daemon, "ada").await;
    join(&admin, shop.id, &[&ada]).await;
    let (one, two) = (talk(&admin, shop.id, "mia").await, talk(&admin, office.id, "tom").await);
    let id = hear(&admin, one, "a blue parcel").await;
    hear(&admin, two, "a blue letter").await;
    post(&admin, one, json!({"content": "blue is a colour", "private": true})).await.expect(200);
    act(&admin, one, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    let found = admin.get(admin.a("/conversations/search?q=blue")).await.expect(200);
    assert_eq!(found.at("/meta"), &json!({"mine_count": 0, "unassigned_count": 2, "all_count": 2}));
    let of_agent = ada.client.get(ada.client.a("/conversations/search?q=blue+parcel")).await.expect(200);
    assert_eq!(texts(&of_agent, "/payload", "id"), [one.to_string()]);
    let shown = of_agent.at("/payload/0");
    assert_eq!((&shown["contact"]["name"], &shown["inbox"]["channel_type"]), (&json!("mia"), &json!("Channel::Api")));
    let message = &shown["messages"][0];
    assert_eq!((&message["id"], &message["content"], &message["sender_name"]), (&json!(id), &json!("a blue parcel"), &json!("mia")));
    assert_eq!((&message["message_type"], shown["messages"].as_array().unwrap().len()), (&json!(0), 1));
    assert_eq!(admin.get(admin.a("/conversations/search?q=blue&page=2")).await.expect(200).at("/payload"), &json!([]));
    for path in
        ["/conversations/search", "/search", "/search/messages", "/search/contacts?q=+", "/search/conversations", "/search/articles"]
    {
        let refused = admin.get(admin.a(path)).await;
        assert!(refused.status == 422 && !refused.str("/error").is_empty(), "{path}: {}", refused.text);
    }
}

#[tokio::test]
async fn contacts_and_their_conversations_are_found_by_parts() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (shop, office) = (api_inbox(&admin, json!({})).await, api_inbox(&admin, json!({})).await);
    let ada = agent(&daemon, "ada").await;
    join(&admin, shop.id, &[&ada]).await;
    let (one, two) = (talk(&admin, shop.id, "Zacharias_50%").await, talk(&admin, office.id, "Zachary").await);
    let fields = json!({"name": "Maria Zach", "email": "office@zach.example", "phone_number": "+491234567", "identifier": "cust-9"});
    let maria = admin.post(admin.a("/contacts"), fields).await.expect(200).id("/payload/contact/id");
    let names = async |q: &str| {
        let found = admin.get(admin.a(&format!("/contacts/search?q={q}"))).await.expect(200);
        assert_eq!(found.at("/meta/has_more"), &json!(false));
        texts(&found, "/payload", "name").join(",")
    };
    for (q, expected) in [
        ("ZACH", "Maria Zach,Zacharias_50%,Zachary"),
        ("charias_50%25", "Zacharias_50%"),
        ("rias", "Zacharias_50%"),
        ("ce@zach", "Maria Zach"),
        ("34567", "Maria Zach"),
        ("%2B4912", "Maria Zach"),
        ("ust-9", "Maria Zach"),
        ("ma", "Maria Zach"),
        ("ZA", "Zacharias_50%,Zachary"),
        ("49", "Maria Zach"),
        ("z", "Zacharias_50%,Zachary"),
        ("%25", ""),
        ("___", ""),
        ("Maria%0Aoffice", ""),
    ] {
        assert_eq!(names(q).await, expected, "{q}");
    }
    let found = admin.get(admin.a("/search?q=zach")).await.expect(200);
    let mut keys: Vec<&String> = found.at("/payload").as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["articles", "contacts", "conversations", "messages"]);
    assert_eq!(
        texts(&found, "/payload/conversations", "id"),
        [two.to_string(), one.to_string()],
        "of contacts who match, the newest first"
    );
    assert_eq!(found.at("/payload/contacts").as_array().unwrap().len(), 3);
    let number = ada.client.get(ada.client.a(&format!("/search/conversations?q={two}"))).await.expect(200);
    assert_eq!(number.at("/payload/conversations"), &json!([]), "not of inboxes that the caller may not see");
    let number = ada.client.get(ada.client.a(&format!("/search/conversations?q={one}"))).await.expect(200);
    assert_eq!(texts(&number, "/payload/conversations", "id"), [one.to_string()]);
    admin.patch(admin.a(&format!("/contacts/{maria}")), json!({"name": "Mary Smith", "email": "mary@smith.example"})).await.expect(200);
    assert_eq!((names("mith").await, names("maria").await), ("Mary Smith".to_owned(), String::new()), "found as it is now");
    let wanted: &Value = &json!({"payload": {"articles": []}});
    assert_eq!(&admin.get(admin.a("/search/articles?q=x")).await.expect(200).body, wanted);
}
