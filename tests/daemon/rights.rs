//! Who may call what: every route of the daemon, called in every role, and held to the table of [`table`].

mod table;

use crate::harness::{Answer, Client};
use crate::surface::{NOBODYS, Surface, call, parameters};
use konversio::http::routes::{ROUTES, Route};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Answers of single routes that differ from those of others with the same roles: method, path, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("POST", "/api/v1/profile/reset_access_token", "would take the token of whoever calls it: called as nobody and with wrong tokens only"),
    (
        "POST",
        "/api/v1/accounts/{account_id}/agent_bots/{bot_id}/reset_access_token",
        "would take the bot's token: its own test asks for it in both roles",
    ),
    ("DELETE", "/auth/sign_out", "404 where there is no session, as the contract has it"),
    ("GET", "/auth/validate_token", "401 with success: false, as the contract has it"),
    ("POST", "/auth/sign_in", "401 with success: false, as the contract has it"),
    ("GET", "/api/v1/accounts/{account_id}/integrations/apps/{app_id}", "apps have names, not ids: their own test asks for them"),
    ("GET", "/api/v1/accounts/{account_id}/conversations/unread_counts", "403: the feature is off, as the contract has it"),
    ("GET", "/api/v1/accounts/{account_id}/contacts/import", "404 before the first import"),
    ("GET", "/api/v1/accounts/{account_id}/contacts/export", "404 before the first export"),
    ("GET", "/cable", "a websocket: its own tests say who hears what"),
    ("POST", "/api/v1/profile", "an app's route and a user's at once: without an inbox identifier it wants a user"),
];

/// Agents' routes that refuse what an agent asks for here: method, path, and why.
const REFUSED_TO_AGENTS: &[(&str, &str, &str)] = &[
    ("PUT", "/api/v1/accounts/{account_id}/macros/{macro_id}", "the macro here is an administrator's, shared with all"),
    ("PATCH", "/api/v1/accounts/{account_id}/macros/{macro_id}", "the macro here is an administrator's, shared with all"),
];

const REFUSED: &str = "You are not authorized to do this action";
const NOT_FOR_BOTS: &str = "Access to this endpoint is not authorized for bots";
const NOT_FOUND: &str = "Resource could not be found";
const NO_WEBSITE: &str = "web widget does not exist";

/// What the table says of every route: method and path → roles.
fn table() -> BTreeMap<(String, String), BTreeSet<&'static str>> {
    let mut rows = BTreeMap::new();
    for (roles, routes) in table::ROWS {
        let roles: BTreeSet<&str> = roles.split_whitespace().collect();
        for line in routes.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (methods, path) = line.split_once(' ').unwrap_or_else(|| panic!("no method and path: {line}"));
            let path = match path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest))) {
                (version @ ("A" | "A2"), rest) => {
                    let version = if version == "A" { "v1" } else { "v2" };
                    let rest = rest.map(|rest| format!("/{rest}")).unwrap_or_default();
                    format!("/api/{version}/accounts/{{account_id}}{rest}")
                }
                _ => path.to_owned(),
            };
            for method in methods.split('|') {
                let before = rows.insert((method.to_owned(), path.clone()), roles.clone());
                assert!(before.is_none(), "{method} {path} has two rows");
            }
        }
    }
    rows
}

#[test]
fn every_route_has_a_row_and_every_row_a_route() {
    let rows: BTreeSet<_> = table().into_keys().collect();
    let routes: BTreeSet<_> = ROUTES.iter().map(|route| (route.method.to_owned(), route.path.to_owned())).collect();
    let (without_row, without_route): (Vec<_>, Vec<_>) = (routes.difference(&rows).collect(), rows.difference(&routes).collect());
    assert!(without_row.is_empty(), "say in tests/daemon/rights/table.rs who may call: {without_row:#?}");
    assert!(without_route.is_empty(), "these are no routes: {without_route:#?}");
}

#[tokio::test]
async fn every_route_is_open_to_its_roles_and_to_nobody_else() {
    let surface = Surface::new().await;
    let nobody = surface.daemon.visitor();
    let (own, other) = (&surface.own, &surface.victim);
    let wrong = nobody.with_token(&own.contact_pubsub);
    let rows = table();
    for route in ROUTES {
        let roles = &rows[&(route.method.to_owned(), route.path.to_owned())];
        let path = own.path(route);
        let is_exception = EXCEPTIONS.iter().any(|(method, path, _)| (*method, *path) == (route.method, route.path));
        let (as_nobody, with_wrong_token) = (ask(&nobody, route, &path).await, ask(&wrong, route, &path).await);
        if roles.contains("everybody") {
            if is_exception {
                assert!(as_nobody.status < 500 && with_wrong_token.status < 500, "{as_nobody:?}");
            } else {
                // It looks at no credentials, so wrong ones do not matter either.
                assert!(!matches!(as_nobody.status, 401 | 403), "{}: {} {}", as_nobody.request, as_nobody.status, as_nobody.text);
                assert_eq!(with_wrong_token.status, as_nobody.status, "{}: {}", as_nobody.request, with_wrong_token.text);
            }
            continue;
        }
        if roles.contains("visitor") {
            assert_is_for_visitors(&surface, route, &path).await;
            continue;
        }
        let (as_bot, as_app) = (ask(&own.bot, route, &path).await, ask(&own.platform, route, &path).await);
        if roles.contains("platform") {
            assert_eq!(roles.len(), 1, "{} {}", route.method, route.path);
            for refused in [&as_nobody, &with_wrong_token, &as_bot] {
                assert_words(refused, 401, "Invalid access_token");
            }
            for client in [&own.admin, &own.agent] {
                assert_words(&ask(client, route, &path).await, 401, "Invalid access_token");
            }
            assert!(as_app.status < 500 && as_app.body["error"] != "Invalid access_token", "{}: {}", as_app.request, as_app.text);
            // What is removed here is nobody's: not this app's, and absent to both.
            let is_nobodys = route.method == "DELETE" && !route.path.ends_with("/account_users");
            assert_reached(own.is_filled(route) && !is_nobodys, &as_app);
            if !parameters(route).is_empty() {
                let as_other_app = ask(&other.platform, route, &path).await;
                match is_nobodys {
                    true => assert!(matches!(as_other_app.status, 401 | 404), "{}: {}", as_other_app.request, as_other_app.text),
                    false => assert_words(&as_other_app, 401, "Non permissible resource"),
                }
            }
            continue;
        }
        assert_no_credentials(&as_nobody);
        assert_words(&with_wrong_token, 401, "Invalid Access Token");
        assert_words(&as_app, 401, "Invalid Access Token");
        let is_filled = own.is_filled(route) && route.method != "DELETE";
        if !roles.contains("bot") {
            assert_words(&as_bot, 401, NOT_FOR_BOTS);
        } else {
            assert_let_in(&as_bot);
            assert_reached(is_filled, &as_bot);
            assert_words(&ask(&other.bot, route, &path).await, 401, NOT_FOR_BOTS);
        }
        if is_exception {
            continue;
        }
        let (as_agent, as_admin) = (ask(&own.agent, route, &path).await, ask(&own.admin, route, &path).await);
        let strangers = [ask(&other.agent, route, &path).await, ask(&other.admin, route, &path).await];
        assert_let_in(&as_admin);
        if roles.contains("user") {
            strangers.iter().chain([&as_agent]).for_each(assert_let_in);
            continue;
        }
        assert!(roles.contains("administrator"), "{} {}: no role that this test knows", route.method, route.path);
        assert_reached(is_filled, &as_admin);
        let is_refused = REFUSED_TO_AGENTS.iter().any(|(method, path, _)| (*method, *path) == (route.method, route.path));
        match roles.contains("agent") && !is_refused {
            true => assert_let_in(&as_agent),
            false => assert_words(&as_agent, 401, REFUSED),
        }
        strangers.iter().for_each(|answer| assert_words(answer, 404, NOT_FOUND));
    }
    assert!(!surface.daemon.log().contains("panicked"), "{}", surface.daemon.log());
}

/// A website is named by its token and a visitor by the one that its page was given; whoever has neither is nobody here, be it an
/// administrator. The page's first call makes a visitor.
async fn assert_is_for_visitors(surface: &Surface, route: &Route, path: &str) {
    let body = matches!(route.method, "POST" | "PUT" | "PATCH").then(|| json!({}));
    let (own, other, nobody) = (&surface.own, &surface.victim, surface.daemon.visitor());
    let ask = async |client: &Client, path: &str| call(client, route.method, path, body.as_ref()).await;
    let nowhere = path.split('?').next().unwrap_or_default();
    for client in [&own.visitor, &own.admin, &nobody] {
        assert_words(&ask(client, nowhere).await, 404, NO_WEBSITE);
        assert_words(&ask(client, &format!("{nowhere}?website_token={}", own.identifier)).await, 404, NO_WEBSITE);
    }
    let strangers = [&nobody, &nobody.with_visitor(&own.contact_pubsub), &own.bot, &own.platform, &own.agent, &own.admin, &other.visitor];
    for client in strangers {
        let answer = ask(client, path).await;
        match route.path.ends_with("/config") {
            true => assert_let_in(&answer),
            false => assert_eq!(answer.status, 401, "{}: {}", answer.request, answer.text),
        }
    }
    let as_visitor = ask(&own.visitor, path).await;
    assert_let_in(&as_visitor);
    assert_reached(true, &as_visitor);
}

/// Nothing that is removed here is there, so that what comes later still finds everything.
async fn ask(client: &Client, route: &Route, path: &str) -> Answer {
    if route.method != "DELETE" {
        return call(client, route.method, path, (route.method != "GET").then(|| json!({})).as_ref()).await;
    }
    // The account of a path below it is the caller's own; where the account itself is removed, it is nobody's.
    let last = parameters(route).last().copied().filter(|name| route.path.ends_with(&format!("{{{name}}}")));
    let path = match (last, path.rsplit_once('/')) {
        (Some(_), Some((before, _))) => format!("{before}/{NOBODYS}"),
        _ => path.to_owned(),
    };
    call(client, route.method, &path, None).await
}

#[track_caller]
fn assert_let_in(answer: &Answer) {
    assert!(!matches!(answer.status, 401 | 403 | 405) && answer.status < 500, "{}: {} {}", answer.request, answer.status, answer.text);
}

/// Whoever may call it finds what there is: a 404 would be a route that is in the table and leads elsewhere.
#[track_caller]
fn assert_reached(is_filled: bool, answer: &Answer) {
    assert!(!is_filled || answer.status != 404, "{}: {}", answer.request, answer.text);
}

#[track_caller]
fn assert_words(answer: &Answer, status: u16, words: &str) {
    assert_eq!(answer.status, status, "{}: {}", answer.request, answer.text);
    assert_eq!(answer.str("/error"), words, "{}", answer.request);
}

/// The contract has a list of `errors` where no credentials are given at all, which its dashboard reads.
#[track_caller]
fn assert_no_credentials(answer: &Answer) {
    assert_eq!(answer.status, 401, "{}: {}", answer.request, answer.text);
    assert!(!answer.str("/errors/0").is_empty() && !answer.str("/error").is_empty(), "{}: {}", answer.request, answer.text);
}
