//! The tree's own rules, checked by reading it: which layer may name which, how long a file may be, and how it begins.
//!
//! The layers are drawn in the crate comment of `actors`; what is forbidden where stands in [`LAYERS`].

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Files below `folder` must not name these paths (`crate::` is the crate the file is in).
struct Layer {
    folder: &'static str,
    forbidden: &'static [&'static str],
    because: &'static str,
}

const LAYERS: &[Layer] = &[
    Layer {
        folder: "actors/src/channel/",
        forbidden: &[
            "actix",
            "actix_web",
            "actix_rt",
            "sea_orm",
            "sqlx",
            "entity",
            "crate::inbox",
            "crate::store",
            "crate::persistence",
            "crate::conversation",
            "crate::conversations",
            "crate::assignment",
            "crate::supervisor",
            "crate::session",
            "crate::outbox",
            "crate::system",
            "crate::schedule",
        ],
        because: "a channel speaks one provider's protocol and knows neither actors nor SQL: take what it needs through Inlet and Tools",
    },
    Layer {
        folder: "actors/src/",
        forbidden: &["konversio", "migration", "actix_web"],
        because: "actors know neither the daemon nor HTTP: the daemon talks to them",
    },
    Layer {
        folder: "entity/src/",
        forbidden: &["konversio", "konversio_actors", "actors", "migration", "konversio_migration", "actix"],
        because: "entity is rows and nothing else: everybody may depend on it, it depends on nobody",
    },
    Layer {
        folder: "migration/src/",
        forbidden: &["konversio", "konversio_actors", "actors", "konversio_entity", "entity"],
        because: "a migration names its own tables: an entity changes later, an applied migration must not",
    },
    Layer {
        folder: "tests/daemon/",
        forbidden: &[
            "konversio",
            "konversio_actors",
            "actors",
            "konversio_entity",
            "entity",
            "konversio_migration",
            "migration",
            "sea_orm",
        ],
        because: "these tests are black-box: HTTP, websockets, files and signals",
    },
];

/// Who may name what a layer forbids: the beginning of a path, and of a name.
const EXCEPTIONS: &[(&str, &str)] = &[
    // What every route is held to is generated from the one table of routes.
    ("tests/daemon/", "konversio::http::routes::ROUTES"),
    ("tests/daemon/", "konversio::http::routes::Route"),
    ("tests/daemon/", "konversio::http::routes::Audience"),
    // Explains the very statements that the handlers run.
    ("tests/daemon/query_plans.rs", ""),
];

/// Lines of a file, without its tests: more than this is said aloud, more than [`TOO_LONG`] fails.
const LONG: usize = 450;
const TOO_LONG: usize = 600;

/// Macros that mark what is not done yet.
const UNFINISHED: &[&str] = &["todo", "unimplemented"];

#[test]
fn every_layer_names_only_those_below_it() {
    let mut found = Vec::new();
    for (path, text) in rust_files() {
        for layer in LAYERS.iter().filter(|layer| path.starts_with(layer.folder)) {
            let is_allowed = |named: &str| EXCEPTIONS.iter().any(|(file, name)| path.starts_with(file) && named.starts_with(name));
            for (line, named) in paths_named(&path, &text).into_iter().filter(|(_, named)| !is_allowed(named)) {
                if let Some(forbidden) = layer.forbidden.iter().find(|forbidden| begins_with(&named, forbidden)) {
                    found.push(format!("{path}:{line}: names `{forbidden}` ({named}): {}", layer.because));
                }
            }
        }
    }
    report(found);
}

#[test]
fn every_file_has_one_subject() {
    let mut found = Vec::new();
    for (path, text) in rust_files().into_iter().filter(|(path, _)| !path.starts_with("migration/")) {
        let lines = lines_without_tests(&text);
        let message = format!("{path}: {lines} lines without tests, {LONG} is where to look for a second subject, {TOO_LONG} the end");
        if lines > TOO_LONG {
            found.push(message);
        } else if lines > LONG {
            // Past the test runner, which would hide it from a run that succeeds.
            let _ = writeln!(std::io::stderr(), "warning: {message}");
        }
    }
    report(found);
}

#[test]
fn every_file_says_why_it_exists() {
    let silent = |(path, text): (String, String)| (!text.starts_with("//! ")).then(|| format!("{path}:1: begin with `//!`: why it exists"));
    report(rust_files().into_iter().filter_map(silent).collect());
}

#[test]
fn a_module_with_children_is_a_file_beside_their_folder() {
    let is_mod = |path: &String| path.ends_with("/mod.rs");
    let message = |path: String| format!("{path}: name it after its folder and put it beside that (`foo.rs` + `foo/`)");
    report(rust_files().into_keys().filter(is_mod).map(message).collect());
}

#[test]
fn nothing_is_left_to_do() {
    let mut found = Vec::new();
    for (path, text) in rust_files() {
        for (number, line) in code_lines(&text) {
            for name in UNFINISHED {
                if line.contains(&format!("{name}!(")) {
                    found.push(format!("{path}:{number}: `{name}!`: do it, or leave the whole feature out"));
                }
            }
        }
    }
    report(found);
}

#[test]
fn nothing_depends_on_one_machine() {
    let mut found = Vec::new();
    for (path, text) in files(|name| !name.ends_with(".lock") && !name.ends_with("package-lock.json")) {
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(folder) = machine_path(line) {
                found.push(format!("{path}:{number}: `{folder}` exists on one machine only: use a relative or a temporary path"));
            }
        }
    }
    report(found);
}

/// All paths `a::b::c` that the code names, with their line: `use` groups spelled out, `super` and `self` made `crate::…`.
fn paths_named(file: &str, text: &str) -> Vec<(usize, String)> {
    let module = module_of(file);
    let mut named = Vec::new();
    let mut statement: Option<(usize, String)> = None;
    for (number, line) in code_lines(text) {
        let begins_use = line.starts_with("use ") || (line.starts_with("pub") && line.contains(" use "));
        if statement.is_none() && begins_use {
            let (_, tree) = line.split_once("use ").unwrap();
            statement = Some((number, tree.to_owned()));
        } else if let Some((_, tree)) = &mut statement {
            tree.push_str(&line);
        } else {
            named.extend(inline_paths(&line).into_iter().map(|path| (number, resolve(&module, &path))));
        }
        if let Some((start, tree)) = statement.take_if(|(_, tree)| tree.contains(';')) {
            let tree: String = tree.split(';').next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
            named.extend(spell_out("", &tree).into_iter().map(|path| (start, resolve(&module, &path))));
        }
    }
    named
}

/// `a::{b, c::{d, e}}` → `a::b`, `a::c::d`, `a::c::e`.
fn spell_out(prefix: &str, tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some((head, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap().trim();
        return if path.is_empty() { Vec::new() } else { vec![format!("{prefix}{path}")] };
    };
    let inside = rest.trim_end().strip_suffix('}').unwrap_or(rest);
    let prefix = format!("{prefix}{}", head.trim());
    let mut depth = 0;
    let parts = inside.split(|letter: char| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    parts.flat_map(|part| spell_out(&prefix, part)).collect()
}

/// Paths of at least two names in a line of code.
fn inline_paths(line: &str) -> Vec<String> {
    let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
    let words = line.split(|letter| !is_path(letter)).map(|word| word.trim_end_matches(':').trim_start_matches("::"));
    words.filter(|word| word.contains("::")).map(str::to_owned).collect()
}

/// The module of a file within its crate: `actors/src/channel/email.rs` → `channel`, `email`.
fn module_of(file: &str) -> Vec<String> {
    let inner = file.split_once("src/").map_or(file, |(_, inner)| inner).trim_end_matches(".rs");
    inner.split('/').filter(|name| !matches!(*name, "lib" | "main")).map(str::to_owned).collect()
}

fn resolve(module: &[String], path: &str) -> String {
    let mut names: Vec<&str> = path.split("::").collect();
    if !matches!(names[0], "self" | "super") {
        return path.to_owned();
    }
    let mut base: Vec<&str> = module.iter().map(String::as_str).collect();
    while let Some(first @ ("self" | "super")) = names.first().copied() {
        names.remove(0);
        if first == "super" {
            base.pop();
        }
    }
    [&["crate"], base.as_slice(), names.as_slice()].concat().join("::")
}

fn begins_with(path: &str, forbidden: &str) -> bool {
    path.strip_prefix(forbidden).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Lines of code with their numbers, trimmed; without comments and without what stands in quotes.
fn code_lines(text: &str) -> Vec<(usize, String)> {
    (1..).zip(text.lines()).map(|(number, line)| (number, without_text(line))).filter(|(_, line)| !line.is_empty()).collect()
}

/// The line without its comment and the insides of its quotes. A text over several lines is read as code: it names no path by chance.
fn without_text(line: &str) -> String {
    let mut code = String::new();
    let (mut quoted, mut escaped) = (false, false);
    let mut letters = line.trim().chars().peekable();
    while let Some(letter) = letters.next() {
        if quoted {
            quoted = escaped || letter != '"';
            escaped = !escaped && letter == '\\';
        } else if letter == '/' && letters.peek() == Some(&'/') {
            break;
        } else if letter == '"' && !code.ends_with('\'') {
            quoted = true;
        } else {
            code.push(letter);
        }
    }
    code.trim().to_owned()
}

/// How many lines come before the tests of the file.
fn lines_without_tests(text: &str) -> usize {
    text.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

/// A folder that belongs to one machine or user, named as an absolute path.
fn machine_path(line: &str) -> Option<&'static str> {
    // Written in pieces, or this file would find itself.
    const FOLDERS: [&str; 4] = [concat!("/", "home/"), concat!("/", "root/"), concat!("/", "Users/"), concat!("/", "work/")];
    let absolute = |position: usize| {
        let before = line[..position].chars().next_back();
        before.is_none_or(|letter| !letter.is_alphanumeric() && !matches!(letter, '.' | '/' | '}' | ')' | '_' | '-' | '~' | '$'))
    };
    FOLDERS.into_iter().find(|folder| line.match_indices(folder).any(|(position, _)| absolute(position)))
}

fn report(found: Vec<String>) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

fn rust_files() -> BTreeMap<String, String> {
    let found = files(|name| name.ends_with(".rs"));
    assert!(found.len() > 10, "the tree was not found");
    found
}

/// Texts of the files that were written by hand, by their path from the root.
fn files(wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let not_ours = matches!(name.as_str(), "target" | "node_modules" | "dist" | "testdata" | ".git") || path == root.join("data");
            if not_ours {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if wanted(&name)
                && let Ok(text) = std::fs::read_to_string(&path)
            {
                found.insert(path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/"), text);
            }
        }
    }
    found
}

#[test]
fn the_reader_finds_every_way_to_name_a_module() {
    let text = r#"//! use sea_orm::Ignored;
use crate::{channel::Channel, store::{self, events as e}};
pub(crate) use super::super::inbox::{
    InboxActor, // crate::session::Ignored
    State,
};
fn f(x: actix::Addr<T>) -> Vec<crate::outbox::Row> { g("sqlx::text", self::mime::parse(x)) }
"#;
    let named = paths_named("actors/src/channel/email.rs", text);
    let expected = [
        (2, "crate::channel::Channel"),
        (2, "crate::store::self"),
        (2, "crate::store::events"),
        (3, "crate::inbox::InboxActor"),
        (3, "crate::inbox::State"),
        (7, "actix::Addr"),
        (7, "crate::outbox::Row"),
        (7, "crate::channel::email::mime::parse"),
    ];
    assert_eq!(named, expected.map(|(line, path)| (line, path.to_owned())));
    assert!(begins_with("crate::store::self", "crate::store") && begins_with("actix", "actix"));
    assert!(!begins_with("actix_web::App", "actix") && !begins_with("crate::storeroom", "crate::store"));
}

#[test]
fn the_reader_tells_code_from_text() {
    let cases =
        [(r#"a("b // c", d) // e"#, "a(, d)"), (r#"say("a \" b", '"', "c")"#, "say(, '\"', )"), ("/// todo", ""), ("  x / y  ", "x / y")];
    for (line, code) in cases {
        assert_eq!(without_text(line), code, "{line}");
    }
    assert_eq!(lines_without_tests("a\nb\n#[cfg(test)]\nmod tests {}\n"), 2);
}

#[test]
fn the_reader_tells_a_machines_folder_from_an_address() {
    let (mine, address) = (concat!("read \"/", "home/me/x\""), concat!("https://example.com/", "home/me"));
    assert!(machine_path(mine).is_some());
    assert!(machine_path(address).is_none());
    assert!(machine_path(concat!("$dir/", "work/x")).is_none());
}
