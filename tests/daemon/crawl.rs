//! Nobody reaches into another account: every id of one desk is asked for with every route, as the people of another one.
//!
//! What belongs to others is as absent as what does not exist, nothing of it is shown, and none of its rows is changed.

use crate::harness::{Answer, Client, SOON};
use crate::surface::{Desk, NOBODYS, Surface, VICTIM, assert_untouched, call, parameters, rows};
use konversio::http::routes::{Audience, ROUTES, Route};
use serde_json::{Value, json};

#[tokio::test]
async fn every_id_of_another_account_is_as_absent_as_one_that_does_not_exist() {
    let surface = Surface::new().await;
    let (own, victim) = (&surface.own, &surface.victim);
    let mut asked = 0;
    for route in ROUTES.iter().filter(|route| parameters(route).len() > 1 && parameters(route).contains(&"account_id")) {
        let absent = path(route, own, |_| vec![NOBODYS.to_string()]).remove(0);
        let mut foreign = path(route, own, |name| victim.values(name));
        // Below something of the caller's own, too.
        let names = parameters(route);
        if let Some((last, _)) = names.split_last().filter(|(_, before)| before.len() > 1) {
            foreign.extend(path(route, own, |name| if name == *last { victim.values(name) } else { own.values(name) }));
        }
        for client in [&own.agent, &own.admin] {
            for body in [json!({}), plausible(own)] {
                let to_absent = ask(client, route, &absent, &body).await;
                for path in &foreign {
                    let answer = ask(client, route, path, &body).await;
                    assert_absent(&answer, Some(&to_absent));
                    assert_silent(&answer, victim);
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 100, "{asked}");
    assert_untouched(victim, &rows(&surface.daemon).await);
    assert!(!surface.daemon.log().contains("panicked"), "{}", surface.daemon.log());
}

#[tokio::test]
async fn another_account_has_no_routes_at_all_for_those_who_are_no_members() {
    let surface = Surface::new().await;
    let (own, victim) = (&surface.own, &surface.victim);
    for route in ROUTES.iter().filter(|route| parameters(route).contains(&"account_id")) {
        for path in [victim.path(route), path(route, victim, |name| own.values(name)).remove(0)] {
            for client in [&own.agent, &own.admin] {
                let answer = ask(client, route, &path, &plausible(victim)).await;
                assert_absent(&answer, None);
                assert_silent(&answer, victim);
            }
        }
    }
    assert_untouched(victim, &rows(&surface.daemon).await);
}

#[tokio::test]
async fn a_platform_app_reaches_nothing_that_is_another_ones() {
    let surface = Surface::new().await;
    let (own, victim) = (&surface.own, &surface.victim);
    let mut asked = 0;
    for route in ROUTES.iter().filter(|route| route.audience == Audience::Platform) {
        let bodies = [json!({}), plausible(own), plausible(victim)];
        let of_others: Vec<String> = path(route, victim, |name| victim.values(name));
        // Its own lists, and what it makes, show nothing of others.
        let paths = if parameters(route).is_empty() { vec![route.path.to_owned()] } else { of_others };
        for (path, body) in paths.iter().flat_map(|path| bodies.iter().map(move |body| (path, body))) {
            let answer = ask(&own.platform, route, path, body).await;
            if !parameters(route).is_empty() {
                let absent = parameters(route)
                    .iter()
                    .fold(route.path.to_owned(), |path, name| path.replace(&format!("{{{name}}}"), &NOBODYS.to_string()));
                let to_absent = ask(&own.platform, route, &absent, body).await;
                assert_absent(&answer, Some(&to_absent));
            }
            assert!(answer.status < 500, "{}: {} {}", answer.request, answer.status, answer.text);
            assert_silent(&answer, victim);
            asked += 1;
        }
    }
    assert!(asked > 50, "{asked}");
    assert_untouched(victim, &rows(&surface.daemon).await);
}

#[tokio::test]
async fn ids_of_another_account_in_a_body_change_and_show_nothing_of_it() {
    let surface = Surface::new().await;
    let (own, victim) = (&surface.own, &surface.victim);
    let all = plausible(victim);
    for route in ROUTES.iter().filter(|route| route.method != "GET" && route.method != "DELETE") {
        if !matches!(route.audience, Audience::User | Audience::Agent | Audience::Administrator)
            || route.path.contains("reset_access_token")
        {
            continue;
        }
        for client in [&own.agent, &own.admin] {
            let path = own.path(route);
            // One at a time beside what is the caller's own, and all of them together.
            let mut bodies = vec![all.clone()];
            for (name, value) in all.as_object().unwrap() {
                let mut body = plausible(own);
                body[name] = value.clone();
                bodies.push(body);
            }
            for body in bodies {
                let answer = call(client, route.method, &path, Some(&body)).await;
                assert!(answer.status < 500, "{} {body}: {} {}", answer.request, answer.status, answer.text);
                assert_silent(&answer, victim);
            }
        }
    }
    // What the callers made of it is theirs: nothing of the other account is in it.
    for route in ROUTES.iter().filter(|route| route.method == "GET" && parameters(route).contains(&"account_id")) {
        let answer = call(&own.admin, "GET", &own.path(route), None).await;
        assert!(answer.status < 500, "{}: {}", answer.request, answer.text);
        assert_silent(&answer, victim);
    }
    assert_untouched(victim, &rows(&surface.daemon).await);
}

#[tokio::test]
async fn the_app_of_one_inbox_reaches_nothing_of_another_one() {
    let surface = Surface::new().await;
    let (own, victim) = (&surface.own, &surface.victim);
    let nobody = surface.daemon.visitor();
    for route in ROUTES.iter().filter(|route| parameters(route).contains(&"source_id")) {
        let foreign_source = path(route, own, |name| if name == "inbox_identifier" { own.values(name) } else { victim.values(name) });
        let mut foreign = foreign_source;
        if parameters(route).len() > 2 {
            let beyond = |name: &str| if matches!(name, "inbox_identifier" | "source_id") { own.values(name) } else { victim.values(name) };
            foreign.extend(path(route, own, beyond));
        }
        for path in foreign {
            let answer = ask(&nobody, route, &path, &json!({"content": "x", "name": "x", "typing_status": "on"})).await;
            assert_absent(&answer, None);
            assert_silent(&answer, victim);
        }
    }
    assert_untouched(victim, &rows(&surface.daemon).await);
}

#[tokio::test]
async fn a_visitor_of_one_website_reaches_nothing_of_another_one() {
    let surface = Surface::new().await;
    let (own, victim, nobody) = (&surface.own, &surface.victim, surface.daemon.visitor());
    let body = json!({"content": "x", "message": {"content": "x", "submitted_values": {"value": "x"}}, "typing_status": "on",
        "name": "x", "label": "x", "custom_attributes": {"a": 1}, "custom_attribute": ["a"]});
    let routes = ROUTES.iter().filter(|route| route.audience == Audience::Visitor && !route.path.ends_with("/config"));
    let mut asked = 0;
    for route in routes {
        // There: as the visitor of here, and with what opens other things there.
        for client in [&own.visitor, &nobody.with_visitor(&victim.contact_pubsub), &nobody.with_visitor(&victim.source_id)] {
            let answer = ask(client, route, &victim.path(route), &body).await;
            assert_eq!(answer.status, 401, "{}: {}", answer.request, answer.text);
            assert_silent(&answer, victim);
        }
        // Here: by the ids of there, and by those of the account that are not the visitor's own.
        let here = own.path(route);
        let is_of_one = ["/messages", "toggle_typing", "update_last_seen", "toggle_status", "transcript"];
        if is_of_one.iter().any(|end| route.path.ends_with(end)) {
            for id in [victim.visitor_conversation, own_conversation(own)] {
                let answer = ask(&own.visitor, route, &format!("{here}&conversation_id={id}"), &body).await;
                assert_absent(&answer, None);
                asked += 1;
            }
        }
        if parameters(route).contains(&"message_id") {
            for id in victim.values("message_id").into_iter().chain([own.values("message_id").remove(0)]) {
                let path = format!("{}?website_token={}", route.path.replace("{message_id}", &id), own.website_token);
                assert_absent(&ask(&own.visitor, route, &path, &body).await, None);
                asked += 1;
            }
        }
    }
    assert!(asked > 15, "{asked}");
    assert_untouched(victim, &rows(&surface.daemon).await);
}

/// The conversation of the API inbox of a desk.
fn own_conversation(desk: &Desk) -> i64 {
    desk.values("conversation_id").remove(0).parse().unwrap()
}

#[tokio::test]
async fn streams_and_files_of_another_account_are_closed() {
    let surface = Surface::new().await;
    let (own, victim, daemon) = (&surface.own, &surface.victim, &surface.daemon);
    let mut cable = daemon.cable().await;
    for identifier in [
        json!({"channel": "RoomChannel", "pubsub_token": own.agent_pubsub, "account_id": VICTIM, "user_id": own.agent_id}),
        json!({"channel": "RoomChannel", "pubsub_token": own.agent_pubsub, "account_id": VICTIM, "user_id": victim.agent_id}),
        json!({"channel": "RoomChannel", "pubsub_token": own.identifier, "account_id": VICTIM}),
        json!({"channel": "RoomChannel", "pubsub_token": victim.source_id}),
        json!({"channel": "RoomChannel", "pubsub_token": victim.identifier}),
        json!({"channel": "RoomChannel", "account_id": VICTIM, "user_id": victim.agent_id}),
    ] {
        let answer = cable.ask_to_subscribe(&identifier.to_string()).await;
        assert_eq!(answer["type"], "reject_subscription", "{identifier}");
    }
    // One who listens at home hears nothing of what happens there.
    cable.subscribe_agent(&own.agent_pubsub, own.account, own.agent_id).await;
    let mut of_contact = daemon.cable().await;
    of_contact.subscribe_contact(&own.contact_pubsub).await;
    let conversation = victim.values("conversation_id").remove(0);
    let messages = victim.admin.a(&format!("/conversations/{conversation}/messages"));
    victim.admin.post(&messages, json!({"content": format!("{} again", victim.mark)})).await.expect(200);
    let conversation = own.values("conversation_id").remove(0);
    let messages = own.admin.a(&format!("/conversations/{conversation}/messages"));
    own.admin.post(&messages, json!({"content": "the last one"})).await.expect(200);
    for cable in [&mut cable, &mut of_contact] {
        cable.next_event_where("message.created", SOON, |event| event["content"] == "the last one").await;
        let heard = cable.frames().iter().map(|frame| frame.json.to_string()).collect::<String>();
        assert!(!heard.contains(victim.mark), "{heard}");
    }

    let nobody = daemon.visitor();
    nobody.get(&victim.file_url).await.expect(200);
    let (before, signed_and_name) = victim.file_url.split_once("/files/").unwrap();
    let (signed, name) = signed_and_name.split_once('/').unwrap();
    let own_signed = own.file_url.split_once("/files/").unwrap().1.split_once('/').unwrap().0;
    let half = signed.len() / 2;
    let mut tampered = vec![signed[1..].to_owned(), signed[..signed.len() - 1].to_owned(), format!("{signed}x"), String::new()];
    for position in [0, half, signed.len() - 1] {
        let other = if signed.as_bytes()[position] == b'a' { "b" } else { "a" };
        tampered.push(format!("{}{other}{}", &signed[..position], &signed[position + 1..]));
    }
    // The signature of one file beneath another one.
    if let (Some((key, _)), Some((_, signature))) = (signed.rsplit_once(['.', '-']), own_signed.rsplit_once(['.', '-'])) {
        tampered.extend([".", "-"].map(|separator| format!("{key}{separator}{signature}")));
    }
    for signed in tampered {
        let answer = nobody.get(format!("{before}/files/{signed}/{name}")).await;
        assert_eq!(answer.status, 404, "{signed}: {}", answer.text);
    }
}

/// The paths of a route in an account, with the values a name has elsewhere.
fn path(route: &Route, account: &Desk, values: impl Fn(&str) -> Vec<String>) -> Vec<String> {
    let mut paths = vec![route.path.to_owned()];
    for name in parameters(route) {
        let values = if name == "account_id" { account.values(name) } else { values(name) };
        let fill = |path: &String| values.iter().map(|value| path.replace(&format!("{{{name}}}"), value)).collect::<Vec<_>>();
        paths = paths.iter().flat_map(fill).collect();
    }
    paths
}

async fn ask(client: &Client, route: &Route, path: &str, body: &Value) -> Answer {
    call(client, route.method, path, (route.method != "GET").then_some(body)).await
}

/// Every name by which the contract's bodies refer to something, with this desk's ids.
fn plausible(desk: &Desk) -> Value {
    let id = |name: &str| desk.values(name).first().and_then(|id| id.parse::<i64>().ok()).unwrap_or(NOBODYS);
    let filter = json!([{"attribute_key": "inbox_id", "filter_operator": "equal_to", "values": [id("inbox_id")], "query_operator": null}]);
    json!({
        "inbox_id": id("inbox_id"), "contact_id": id("contact_id"), "conversation_id": id("conversation_id"),
        "source_id": desk.source_id, "assignee_id": id("user_id"), "user_id": id("user_id"), "user_ids": [id("user_id")],
        "team_id": id("team_id"), "team_ids": [id("team_id")], "agent_bot": id("agent_bot_id"), "ids": [id("conversation_id")],
        "conversation_ids": [id("conversation_id")], "message_id": id("message_id"), "webhook_id": id("webhook_id"),
        "content_attributes": {"in_reply_to": id("message_id")}, "base_contact_id": id("contact_id"),
        "mergee_contact_id": id("contact_id"), "primary_actor_id": id("conversation_id"), "primary_actor_type": "Conversation",
        "account_id": desk.account, "payload": filter, "content": "x", "status": "open", "priority": "high", "typing_status": "on",
        "name": "x", "custom_attributes": {"a": 1}, "labels": ["x"]
    })
}

/// 404, or 401 before anything was looked for, or exactly what is said of an id that does not exist.
#[track_caller]
fn assert_absent(answer: &Answer, to_absent: Option<&Answer>) {
    let is_same = to_absent.is_some_and(|absent| absent.status >= 400 && (absent.status, &absent.text) == (answer.status, &answer.text));
    assert!(matches!(answer.status, 401 | 404) || is_same, "{}: {} {}", answer.request, answer.status, answer.text);
    assert!(answer.status < 500, "{}: {} {}", answer.request, answer.status, answer.text);
}

#[track_caller]
fn assert_silent(answer: &Answer, victim: &Desk) {
    assert!(!answer.text.contains(victim.mark), "{} shows what is not the caller's: {}", answer.request, answer.text);
}
