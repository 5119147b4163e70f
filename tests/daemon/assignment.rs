//! Auto-assignment: who is there takes turns, within a limit; who waits is seen to as soon as somebody is free.
//!
//! That something is *not* assigned is shown with conversations of another inbox that are assigned meanwhile: assignment goes
//! through all inboxes, so after two of those it has looked at the first one as well.

use crate::app::{Person, act, agent, api_inbox, assigned, assignee, contents, hear, join, talk};
use crate::harness::{Cable, Client, Daemon};
use serde_json::json;

#[tokio::test]
async fn who_is_there_takes_turns() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (ada, bob, away) = (agent(&daemon, "Ada").await, agent(&daemon, "Bob").await, agent(&daemon, "Away").await);
    join(&admin, inbox.id, &[&ada, &bob, &away]).await;
    let _sockets = (come(&daemon, &ada).await, come(&daemon, &bob).await);
    let mut given = Vec::new();
    for number in 0..4 {
        let id = talk(&admin, inbox.id, &format!("user-{number}")).await;
        given.push(assigned(&admin, id).await);
        assert!(contents(&admin, id).await[0].contains("by the system"));
    }
    assert!(given[..2] == [ada.id, bob.id] || given[..2] == [bob.id, ada.id], "{given:?}");
    assert_eq!(given[..2], given[2..], "and round again");
}

#[tokio::test]
async fn nobody_gets_more_than_the_limit_and_a_slot_that_is_freed_is_filled() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let limited = api_inbox(&admin, json!({"auto_assignment_config": {"max_assignment_limit": 2}})).await;
    let ada = agent(&daemon, "Ada").await;
    join(&admin, limited.id, &[&ada]).await;
    let elsewhere = Elsewhere::new(&daemon).await;
    let _socket = come(&daemon, &ada).await;
    let first = talk(&admin, limited.id, "user-1").await;
    let second = talk(&admin, limited.id, "user-2").await;
    assert_eq!((assigned(&admin, first).await, assigned(&admin, second).await), (ada.id, ada.id));
    let third = talk(&admin, limited.id, "user-3").await;
    elsewhere.goes_on(&admin).await;
    assert_eq!(assignee(&admin, third).await, None, "Ada has two already");
    act(&admin, first, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    assert_eq!(assigned(&admin, third).await, ada.id);
    // A higher limit counts from the next turn on.
    let fourth = talk(&admin, limited.id, "user-4").await;
    let higher = json!({"auto_assignment_config": {"max_assignment_limit": "3"}});
    admin.patch(admin.a(&format!("/inboxes/{}", limited.id)), higher).await.expect(200);
    assert_eq!(assigned(&admin, fourth).await, ada.id);
}

#[tokio::test]
async fn who_waits_is_seen_to_when_somebody_comes() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let (ada, bob) = (agent(&daemon, "Ada").await, agent(&daemon, "Bob").await);
    join(&admin, inbox.id, &[&ada, &bob]).await;
    let elsewhere = Elsewhere::new(&daemon).await;
    let id = talk(&admin, inbox.id, "user-1").await;
    elsewhere.goes_on(&admin).await;
    assert_eq!(assignee(&admin, id).await, None, "nobody is there");
    let socket = come(&daemon, &bob).await;
    assert_eq!(assigned(&admin, id).await, bob.id);

    // Gone with the last socket; there without one when the agent wants it so.
    drop(socket);
    let agents = admin.a("/agents");
    crate::harness::eventually(crate::harness::SOON, async || {
        let agents = admin.get(&agents).await.expect(200);
        let bob = agents.body.as_array().unwrap().iter().find(|agent| agent["id"] == bob.id).cloned().unwrap();
        (bob["availability_status"] == "offline").then_some(())
    })
    .await;
    let next = talk(&admin, inbox.id, "user-2").await;
    elsewhere.goes_on(&admin).await;
    assert_eq!(assignee(&admin, next).await, None);
    admin.patch(admin.a(&format!("/agents/{}", ada.id)), json!({"auto_offline": false})).await.expect(200);
    assert_eq!(assigned(&admin, next).await, ada.id);
    // Busy is not online.
    admin.patch(admin.a(&format!("/agents/{}", ada.id)), json!({"availability": "busy"})).await.expect(200);
    let last = talk(&admin, inbox.id, "user-3").await;
    elsewhere.goes_on(&admin).await;
    assert_eq!(assignee(&admin, last).await, None);
    // A new member who is there.
    join(&admin, inbox.id, &[&elsewhere.agent]).await;
    assert_eq!(assigned(&admin, last).await, elsewhere.agent.id);
}

#[tokio::test]
async fn a_conversation_of_nobody_is_assigned_when_it_is_opened_again() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({})).await;
    let ada = agent(&daemon, "Ada").await;
    join(&admin, inbox.id, &[&ada]).await;
    let elsewhere = Elsewhere::new(&daemon).await;
    let (resolved, pending) = (talk(&admin, inbox.id, "user-1").await, talk(&admin, inbox.id, "user-2").await);
    act(&admin, resolved, "toggle_status", json!({"status": "resolved"})).await.expect(200);
    act(&admin, pending, "toggle_status", json!({"status": "pending"})).await.expect(200);
    let _socket = come(&daemon, &ada).await;
    elsewhere.goes_on(&admin).await;
    assert_eq!((assignee(&admin, resolved).await, assignee(&admin, pending).await), (None, None), "only open ones are given");
    hear(&admin, resolved, "me again").await;
    assert_eq!(assigned(&admin, resolved).await, ada.id);
    act(&admin, pending, "toggle_status", json!({"status": "open"})).await.expect(200);
    assert_eq!(assigned(&admin, pending).await, ada.id);
}

#[tokio::test]
async fn without_auto_assignment_nothing_is_assigned() {
    let daemon = Daemon::start().await;
    let admin = daemon.client();
    let inbox = api_inbox(&admin, json!({"enable_auto_assignment": false})).await;
    let ada = agent(&daemon, "Ada").await;
    join(&admin, inbox.id, &[&ada]).await;
    let elsewhere = Elsewhere::new(&daemon).await;
    let _socket = come(&daemon, &ada).await;
    let id = talk(&admin, inbox.id, "user-1").await;
    hear(&admin, id, "hello").await;
    elsewhere.goes_on(&admin).await;
    assert_eq!(assignee(&admin, id).await, None);
    admin.patch(admin.a(&format!("/inboxes/{}", inbox.id)), json!({"enable_auto_assignment": true})).await.expect(200);
    assert_eq!(assigned(&admin, id).await, ada.id);
}

/// Comes online; gone when dropped.
async fn come(daemon: &Daemon, person: &Person) -> Cable {
    let mut cable = daemon.cable().await;
    cable.subscribe_agent(&person.pubsub_token, 1, person.id).await;
    cable
}

/// Another inbox, whose agent is always there.
struct Elsewhere {
    inbox: i64,
    agent: Person,
}

impl Elsewhere {
    async fn new(daemon: &Daemon) -> Self {
        let admin = daemon.client();
        let agent = agent(daemon, "Elsewhere").await;
        admin.patch(admin.a(&format!("/agents/{}", agent.id)), json!({"auto_offline": false})).await.expect(200);
        let inbox = api_inbox(&admin, json!({"name": "Elsewhere"})).await.id;
        join(&admin, inbox, &[&agent]).await;
        Elsewhere { inbox, agent }
    }

    /// Assignment has looked at everything that waited before.
    async fn goes_on(&self, admin: &Client) {
        for _ in 0..2 {
            let contact = admin.post(admin.a("/contacts"), json!({"inbox_id": self.inbox})).await.expect(200).id("/payload/contact/id");
            let id = crate::app::conversation(admin, self.inbox, contact).await;
            assert_eq!(assigned(admin, id).await, self.agent.id);
        }
    }
}
