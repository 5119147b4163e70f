//! Who may call what: every route of the table, called as everybody. A route whose audience has no row here fails.

use crate::harness::{Answer, Client};
use crate::surface::{NOBODYS, Surface, call, parameters};
use konversio::http::routes::{ROUTES, Route};
use serde_json::json;

/// Answers of single routes that differ from those of their audience: method, path, and why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("POST", "/api/v1/profile/reset_access_token", "would take the token of whoever calls it: called as nobody and with wrong tokens only"),
    ("DELETE", "/auth/sign_out", "404 where there is no session, as the contract has it"),
    ("GET", "/auth/validate_token", "401 with success: false, as the contract has it"),
    ("POST", "/auth/sign_in", "401 with success: false, as the contract has it"),
    ("GET", "/api/v1/accounts/{account_id}/integrations/apps/{app_id}", "apps have names, not ids: their own test asks for them"),
    ("GET", "/api/v1/accounts/{account_id}/inboxes/{inbox_id}/assignment_policy", "404 where there is none, as the contract has it"),
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

#[tokio::test]
async fn every_route_is_open_to_its_audience_and_to_nobody_else() {
    let surface = Surface::new().await;
    let nobody = surface.daemon.visitor();
    let (own, other) = (&surface.own, &surface.victim);
    for route in ROUTES {
        let path = own.path(route);
        let as_nobody = ask(&nobody, route, &path).await;
        let with_wrong_token = ask(&nobody.with_token(&own.contact_pubsub), route, &path).await;
        let is_exception = EXCEPTIONS.iter().any(|(method, path, _)| (*method, *path) == (route.method, route.path));
        // A name, so that an audience this test has not heard of fails instead of passing for another one.
        let audience = format!("{:?}", route.audience);
        match audience.as_str() {
            "User" | "Agent" | "Administrator" => {
                assert_no_credentials(&as_nobody);
                assert_words(&with_wrong_token, 401, "Invalid Access Token");
            }
            "Public" | "Client" if is_exception => assert!(as_nobody.status < 500 && with_wrong_token.status < 500, "{as_nobody:?}"),
            "Public" | "Client" => {
                // It looks at no credentials, so wrong ones do not matter either.
                assert!(!matches!(as_nobody.status, 401 | 403), "{}: {} {}", as_nobody.request, as_nobody.status, as_nobody.text);
                assert_eq!(with_wrong_token.status, as_nobody.status, "{}: {}", as_nobody.request, with_wrong_token.text);
            }
            "Platform" => {
                assert_eq!(as_nobody.status, 401, "{}: {}", as_nobody.request, as_nobody.text);
                for client in [&own.admin, &own.agent, &nobody.with_token(&own.contact_pubsub)] {
                    assert_words(&ask(client, route, &path).await, 401, "Invalid access_token");
                }
                continue;
            }
            unknown => panic!("{} {}: no row for the audience {unknown}", route.method, route.path),
        }
        if is_exception {
            continue;
        }
        let (as_agent, as_admin) = (ask(&own.agent, route, &path).await, ask(&own.admin, route, &path).await);
        let is_filled = own.is_filled(route) && route.method != "DELETE";
        let strangers = [ask(&other.agent, route, &path).await, ask(&other.admin, route, &path).await];
        match audience.as_str() {
            "Agent" => {
                assert_reached(is_filled, &as_admin);
                match REFUSED_TO_AGENTS.iter().any(|(method, path, _)| (*method, *path) == (route.method, route.path)) {
                    true => assert_words(&as_agent, 401, "You are not authorized to do this action"),
                    false => assert_let_in(&as_agent),
                }
                assert_let_in(&as_admin);
                strangers.iter().for_each(|answer| assert_words(answer, 404, "Resource could not be found"));
            }
            "Administrator" => {
                assert_reached(is_filled, &as_admin);
                assert_words(&as_agent, 401, "You are not authorized to do this action");
                assert_let_in(&as_admin);
                strangers.iter().for_each(|answer| assert_words(answer, 404, "Resource could not be found"));
            }
            _ => strangers.iter().chain([&as_agent, &as_admin]).for_each(assert_let_in),
        }
    }
    assert!(!surface.daemon.log().contains("panicked"), "{}", surface.daemon.log());
}

/// Nothing that is removed here is there, so that what comes later still finds everything.
async fn ask(client: &Client, route: &Route, path: &str) -> Answer {
    if route.method != "DELETE" {
        return call(client, route.method, path, (route.method != "GET").then(|| json!({})).as_ref()).await;
    }
    let last = parameters(route).last().copied().filter(|name| *name != "account_id" && route.path.ends_with(&format!("{{{name}}}")));
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
