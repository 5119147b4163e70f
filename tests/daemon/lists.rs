//! Lists: which conversations, contacts and messages they hold, in which order, on which page, and what is counted.

use crate::app::{Person, act, agent, api_inbox, conversation, customer, execute, hear, join, post, say, talk};
use crate::harness::{Answer, Client, Daemon};
use serde_json::{Value, json};

/// The numbers of the conversations that a list has, in its order.
async fn listed(client: &Client, query: &str) -> Vec<i64> {
    numbers(&client.get(client.a(&format!("/conversations{query}"))).await.expect(200), "/data/payload")
}

fn numbers(answer: &Answer, pointer: &str) -> Vec<i64> {
    answer.at(pointer).as_array().unwrap().iter().map(|shown| shown["id"].as_i64().unwrap()).collect()
}

async fn counts(client: &Client, query: &str) -> [i64; 4] {
    let shown = client.get(client.a(&format!("/conversations/meta{query}"))).await.expect(200);
    let listed = client.get(client.a(&format!("/conversations{query}"))).await.expect(200);
    assert_eq!(shown.at("/meta"), listed.at("/data/meta"), "the list tells the same counts");
    ["mine_count", "assigned_count", "unassigned_count", "all_count"].map(|name| shown.id(&format!("/meta/{name}")))
}

#[tokio::test]
async fn pages_hold_25_conversations_and_end_in_an_empty_one() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let person = customer(&admin, inbox.id, "mia").await;
    let mut made = Vec::new();
    for _ in 0..30 {
        made.push(conversation(&admin, inbox.id, person.id).await);
    }
    for id in [3, 9] {
        act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    }
    hear(&admin, 1, "again").await;
    let open: Vec<i64> = std::iter::once(1).chain((2..=30).rev().filter(|id| ![3, 9].contains(id))).collect();
    assert_eq!(listed(&admin, "").await, open[..25], "the last active first");
    assert_eq!(listed(&admin, "?page=2").await, open[25..]);
    assert_eq!(listed(&admin, "?page=3").await, [0; 0]);
    let (first, second) = (listed(&admin, "?status=all").await, listed(&admin, "?status=all&page=2").await);
    let mut all = [first.clone(), second].concat();
    assert_eq!((first.len(), all.len()), (25, 30));
    all.sort_unstable();
    assert_eq!(all, made, "all statuses, each conversation once");
    assert_eq!(listed(&admin, "?status=resolved&sort_by=created_at_asc").await, [3, 9]);
    assert_eq!(listed(&admin, "?status=all&sort_by=created_at_asc").await, made[..25]);
    assert_eq!(listed(&admin, "?status=all&sort_by=created_at_asc&page=2").await, made[25..]);
    assert_eq!(counts(&admin, "").await, [0, 0, 28, 28]);
    assert_eq!(counts(&admin, "?status=all").await[3], 30);
}

#[tokio::test]
async fn filters_of_the_list() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let (shop, office) = (api_inbox(&admin, json!({})).await, api_inbox(&admin, json!({})).await);
    let ada = agent(&daemon, "ada").await;
    join(&admin, shop.id, &[&ada]).await;
    let [one, two, three] = [talk(&admin, shop.id, "a").await, talk(&admin, shop.id, "b").await, talk(&admin, office.id, "c").await];
    act(&admin, one, "assignments", json!({"assignee_id": ada.id})).await.expect(200);
    execute_both(
        &daemon,
        "INSERT INTO conversation_labels (account_id, title, conversation_id) SELECT 1, 'vip', id FROM conversations WHERE display_id = 2",
    )
    .await;
    execute_both(&daemon, "UPDATE conversations SET team_id = 5 WHERE display_id = 3").await;
    hear(&admin, two, "the blue parcel").await;
    say(&admin, two, "it is on its way").await;
    assert_eq!(listed(&admin, &format!("?inbox_id={}", office.id)).await, [three]);
    assert_eq!(listed(&admin, "?team_id=5").await, [three]);
    assert_eq!(listed(&admin, "?labels[]=vip&labels[]=none").await, [two]);
    assert_eq!(listed(&admin, "?labels[]=none").await, [0; 0]);
    for query in ["?labels=vip", "?labels=none&labels=vip", "?labels[]=none&labels=vip"] {
        assert_eq!(listed(&admin, query).await, [two], "{query}");
    }
    assert_eq!(listed(&admin, "?assignee_type=assigned").await, [one]);
    assert_eq!(listed(&admin, "?assignee_type=unassigned&sort_by=created_at_asc").await, [two, three]);
    assert_eq!(listed(&admin, "?assignee_type=me").await, [0; 0]);
    assert_eq!(listed(&ada.client, "?assignee_type=me").await, [one]);
    assert_eq!(counts(&ada.client, "?assignee_type=me").await, [1, 1, 1, 2], "counts ignore assignee_type, and what is not seen");
    assert_eq!(listed(&ada.client, &format!("?inbox_id={}", office.id)).await, [0; 0], "not a member");
    assert_eq!(listed(&admin, "?conversation_type=unattended&sort_by=created_at_asc").await, [one, three], "answered is attended to");
    act(&admin, two, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(listed(&admin, "?q=blue").await, [two], "words of a message, whatever the status");
    assert_eq!(listed(&admin, "?updated_within=3600&sort_by=created_at_asc").await, [one, three]);
    assert_eq!(listed(&admin, "?updated_within=0").await, [0; 0]);
    let source = admin.get(admin.a("/contacts/search?q=c")).await.expect(200);
    let source = source.str("/payload/0/contact_inboxes/0/source_id");
    assert_eq!(listed(&admin, &format!("?source_id={source}")).await, [three]);
    for query in ["?status=foo", "?assignee_type=foo", "?conversation_type=foo", "?sort_by=foo", "?inbox_id=foo", "?page=foo"] {
        let refused = admin.get(admin.a(&format!("/conversations{query}"))).await;
        assert_eq!(refused.status, 422, "{query}: {}", refused.text);
    }
}

#[tokio::test]
async fn mentioned_and_followed_conversations_are_the_callers_own() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let Person { client, id, .. } = agent(&daemon, "ada").await;
    let person = Person { client: client.clone(), id, pubsub_token: String::new() };
    join(&admin, inbox.id, &[&person]).await;
    let (one, two) = (talk(&admin, inbox.id, "a").await, talk(&admin, inbox.id, "b").await);
    execute_both(
        &daemon,
        "INSERT INTO mentions (account_id, conversation_id, user_id, mentioned_at)
         SELECT 1, c.id, u.id, c.created_at FROM conversations c, users u WHERE c.display_id = 1 AND u.email = 'ada@example.com'",
    )
    .await;
    execute_both(
        &daemon,
        "INSERT INTO participants (account_id, conversation_id, user_id, created_at)
         SELECT 1, c.id, u.id, c.created_at FROM conversations c, users u WHERE c.display_id = 2 AND u.email = 'ada@example.com'",
    )
    .await;
    assert_eq!(listed(&client, "?conversation_type=mention").await, [one]);
    assert_eq!(listed(&client, "?conversation_type=participating").await, [two]);
    assert_eq!(listed(&admin, "?conversation_type=mention").await, [0; 0]);
    assert_eq!(counts(&client, "?conversation_type=participating").await, [0, 0, 1, 1]);
}

#[tokio::test]
async fn orders_of_the_list() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    for name in ["a", "b", "c", "d"] {
        talk(&admin, inbox.id, name).await;
    }
    for (id, priority) in [(1, "low"), (2, "urgent"), (4, "urgent")] {
        act(&admin, id, "toggle_priority", json!({"priority": priority})).await.expect(200);
    }
    hear(&admin, 3, "first").await;
    hear(&admin, 1, "second").await;
    for (sort, expected) in [
        ("priority_desc", [4, 2, 1, 3]),
        ("priority_asc", [1, 4, 2, 3]),
        ("priority_desc_created_at_asc", [2, 4, 1, 3]),
        ("waiting_since_asc", [3, 1, 2, 4]),
        ("waiting_since_desc", [1, 3, 2, 4]),
        ("created_at_desc", [4, 3, 2, 1]),
        ("unread", [1, 3, 4, 2]),
        ("last_activity_at_asc", [2, 4, 3, 1]),
    ] {
        for status in ["open", "all"] {
            assert_eq!(listed(&admin, &format!("?sort_by={sort}&status={status}")).await, expected, "{sort} {status}");
        }
    }
}

#[tokio::test]
async fn contacts_are_listed_by_15() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    for number in 0..17 {
        let fields = json!({"name": format!("Person {:02}", (number * 7) % 17), "email": format!("p{number}@example.com"),
            "additional_attributes": {"city": format!("C{number:02}")}});
        admin.post(admin.a("/contacts"), fields).await.expect(200);
    }
    admin.post(admin.a("/contacts"), json!({"name": "Nobody"})).await.expect(200);
    let get = async |query: &str| admin.get(admin.a(&format!("/contacts{query}"))).await.expect(200);
    let names = |answer: &Answer| -> Vec<String> {
        answer.at("/payload").as_array().unwrap().iter().map(|shown| shown["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = get("").await;
    assert_eq!(first.at("/meta"), &json!({"count": 17, "current_page": 1}), "nothing is known of Nobody");
    assert_eq!(names(&first), (0..15).map(|number| format!("Person {number:02}")).collect::<Vec<_>>());
    assert!(first.at("/payload/0/contact_inboxes").is_array());
    assert!(get("?include_contact_inboxes=false").await.body["payload"][0].get("contact_inboxes").is_none());
    let second = get("?page=2").await;
    assert_eq!((second.at("/meta/current_page"), names(&second).len()), (&json!("2"), 2), "as it was asked for");
    assert_eq!(names(&get("?page=3").await), [""; 0]);
    assert_eq!(names(&get("?sort=-name").await)[0], "Person 16");
    assert_eq!(get("?sort=-city").await.str("/payload/0/additional_attributes/city"), "C16");
    assert_eq!(get("?sort=-created_at").await.str("/payload/0/email"), "p16@example.com");
    assert_eq!(get("?sort=email").await.str("/payload/0/email"), "p0@example.com");
    execute_both(
        &daemon,
        "INSERT INTO contact_labels (account_id, title, contact_id) SELECT 1, 'vip', id FROM contacts WHERE email = 'p3@example.com'",
    )
    .await;
    for query in ["?labels[]=vip", "?labels=vip", "?labels=none&labels=vip"] {
        assert_eq!(get(query).await.at("/meta/count"), &json!(1), "{query}");
    }
    let active = get("/active").await;
    assert_eq!((active.at("/meta/count"), active.at("/payload")), (&json!(0), &json!([])), "nobody is online");
}

#[tokio::test]
async fn messages_are_paged_by_their_ids() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let id = talk(&admin, inbox.id, "mia").await;
    let mut ids = Vec::new();
    for number in 0..105 {
        ids.push(hear(&admin, id, &format!("{number}")).await);
    }
    let get = async |query: &str| {
        let listed = admin.get(admin.a(&format!("/conversations/{id}/messages{query}"))).await.expect(200);
        numbers(&listed, "/payload")
    };
    assert_eq!(get("").await, ids[85..], "the last 20, oldest first");
    assert_eq!(get(&format!("?before={}", ids[50])).await, ids[30..50]);
    assert_eq!(get(&format!("?after={}", ids[0])).await, ids[1..101]);
    assert_eq!(get(&format!("?after={}&before={}", ids[2], ids[104])).await, ids[2..104], "from this one on, and before that one");
    assert_eq!(get(&format!("?before={}", ids[0])).await, [0; 0]);
    let note = post(&admin, id, json!({"content": "a note", "private": true})).await.expect(200).id("/id");
    act(&admin, id, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    let last = *get("").await.last().unwrap();
    assert!(last >= note, "notes and activities are told");
    assert_eq!(get("?filter_internal_messages=true").await, ids[85..]);
    let shown = admin.get(admin.a(&format!("/conversations/{id}/messages"))).await.expect(200);
    let meta = shown.at("/meta");
    assert_eq!((&meta["labels"], &meta["contact"]["name"], meta.get("assignee")), (&json!([]), &json!("mia"), None::<&Value>));
    assert!(
        meta.get("agent_last_seen_at").is_some()
            && meta.get("assignee_last_seen_at").is_some()
            && meta["additional_attributes"].is_object()
    );
}

async fn execute_both(daemon: &Daemon, sql: &'static str) {
    execute(daemon, sql, sql).await;
}
