//! Settings as an operator writes them: layers, errors, and the commented konversio.toml.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
use super::known::{Kind, SETTINGS};
use super::*;
use actors::channel::{ChannelSettings, MailSecurity};
use std::collections::BTreeSet;

const SHIPPED: &str = include_str!("../../konversio.toml");

fn layered(file: &str, environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let environment: Vec<(String, String)> = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Settings::layer(Some(&Document::parse(Path::new("k.toml"), file.to_owned())?), &environment)
}

fn error(file: &str, environment: &[(&str, &str)]) -> String {
    layered(file, environment).unwrap_err().to_string()
}

/// What is left when the comment mark is taken from the lines with settings.
fn uncommented() -> String {
    let line = |line: &str| match line.strip_prefix("# ") {
        Some(setting)
            if setting
                .split_once(" = ")
                .is_some_and(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c))) =>
        {
            setting.to_owned()
        }
        _ => line.to_owned(),
    };
    SHIPPED.lines().map(|text| line(text) + "\n").collect()
}

#[test]
fn the_shipped_file_is_the_defaults_with_and_without_its_comment_marks() {
    assert_eq!(layered(SHIPPED, &[]).unwrap(), Settings::default());
    assert_eq!(layered(&uncommented(), &[]).unwrap(), Settings::default());
}

#[test]
fn the_shipped_file_has_every_setting_and_says_whether_it_reloads() {
    let document = Document::parse(Path::new("konversio.toml"), uncommented()).unwrap();
    let mut found = BTreeSet::new();
    for (section, value) in document.table() {
        match value {
            toml::Value::Table(table) => found.extend(table.keys().map(|name| format!("{section}.{name}"))),
            _ => drop(found.insert(section.clone())),
        }
    }
    assert_eq!(found, SETTINGS.iter().map(|setting| setting.key.to_owned()).collect());

    let (mut section, mut checked) = ("", 0);
    for paragraph in SHIPPED.split("\n\n") {
        if let Some(header) = paragraph.lines().find_map(|line| line.strip_prefix('[')) {
            section = header.trim_end_matches(']');
        }
        let Some(name) = paragraph.lines().last().and_then(|line| line.strip_prefix("# ")?.split_once(" = ")).map(|(name, _)| name) else {
            continue;
        };
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == name || setting.key == format!("{section}.{name}")) else {
            continue;
        };
        assert_eq!(paragraph.contains("Reloads."), setting.reloads, "{}", setting.key);
        assert_eq!(paragraph.contains("Needs a restart."), !setting.reloads, "{}", setting.key);
        checked += 1;
    }
    assert_eq!(checked, SETTINGS.len());
}

#[test]
fn the_inbox_of_the_shipped_file_works_when_uncommented() {
    let example: String = SHIPPED.lines().filter_map(|line| line.strip_prefix("#     ")).map(|line| format!("{line}\n")).collect();
    let inboxes = layered(&example, &[]).unwrap().inboxes;
    assert_eq!(inboxes.len(), 1);
    assert_eq!((inboxes[0].name.as_str(), inboxes[0].channel.kind()), ("Support", "email"));
    // The values shown are the defaults.
    let short = "[[inbox]]\nname = 'Support'\nmembers = ['agent@shop.example']\nchannel = { type = 'email', email = 'support@shop.example', \
                 imap_enabled = true, imap_address = 'imap.shop.example', imap_login = 'support@shop.example', imap_password = '…' }";
    assert_eq!(layered(short, &[]).unwrap().inboxes, inboxes);
}

#[test]
fn every_known_setting_can_be_set_by_the_environment_and_shows_as_a_difference() {
    for setting in SETTINGS {
        let value = match (setting.key, setting.kind) {
            ("server.bind", _) => "127.0.0.1:4000",
            ("server.public_url" | "files.s3_endpoint" | "server.cors_origins", _) => "https://support.example",
            ("providers.telegram_url" | "providers.meta_url", _) => "http://127.0.0.1:8081",
            ("providers.meta_version", _) => "v24.0",
            ("database.url", _) => "sqlite:///tmp/other.db",
            ("bootstrap.admin_email", _) => "root@shop.example",
            ("outbound.allow_cidrs" | "server.trusted_proxies", _) => "10.0.0.0/8",
            ("files.url", _) => "s3://bucket",
            ("mail.security", _) => "none",
            ("log.format", _) => "json",
            ("server.max_body_bytes", _) => "2048",
            ("server.shutdown_timeout_seconds", _) => "5",
            (_, Kind::Integer(..)) => "7",
            (_, Kind::Boolean) => "true",
            _ => "other",
        };
        let variable = file::variable_of(setting.key);
        // What it cannot be without.
        let mut environment = vec![(variable.as_str(), value)];
        match setting.key {
            "bootstrap.admin_password" => environment.push(("KONVERSIO__BOOTSTRAP__ADMIN_EMAIL", "root@shop.example")),
            "mail.username" | "mail.from" => environment.push(("KONVERSIO__MAIL__HOST", "relay")),
            "mail.password" => environment.extend([("KONVERSIO__MAIL__HOST", "relay"), ("KONVERSIO__MAIL__USERNAME", "me")]),
            "files.s3_access_key_id" => environment.push(("KONVERSIO__FILES__S3_SECRET_ACCESS_KEY", "x")),
            "files.s3_secret_access_key" => environment.push(("KONVERSIO__FILES__S3_ACCESS_KEY_ID", "x")),
            _ => {}
        }
        let new = layered("", &environment).unwrap_or_else(|error| panic!("{error}"));
        assert!((setting.differs)(&Settings::default(), &new), "{} does not reach the settings", setting.key);
        assert_eq!(Settings::default().reloadable_difference(&new).contains(&setting.key), !setting.reloads);
    }
    assert!(Settings::default().reloadable_difference(&Settings::default()).is_empty());
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = "data_dir = '/srv/k'\n[server]\nbind = '0.0.0.0:80'\nworkers = 3\n[outbound]\nallow_cidrs = ['10.0.0.0/8']\n";
    let settings = layered(
        file,
        &[
            ("KONVERSIO__SERVER__WORKERS", "5"),
            ("KONVERSIO__OUTBOUND__ALLOW_CIDRS", "192.168.0.0/16, fd00::/8,"),
            ("KONVERSIO__BOOTSTRAP__ADMIN_EMAIL", "root@shop.example"),
            ("KONVERSIO__BOOTSTRAP__ADMIN_PASSWORD", "12345678"),
            ("KONVERSIO_SERVICE_PORT", "not ours"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(settings.server.bind.to_string(), "0.0.0.0:80");
    assert_eq!(settings.server.workers(), 5);
    assert_eq!(settings.server.shutdown_timeout_seconds, 6);
    assert_eq!(settings.outbound.allow_cidrs.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.168.0.0/16", "fd00::/8"]);
    assert_eq!(settings.bootstrap.admin_password.expose(), "12345678", "a password of digits stays a text");
    assert_eq!(settings.database(), Database::Sqlite("/srv/k/konversio.db".into()));
    assert_eq!(settings.file_store(), FileStore::Folder("/srv/k/files".into()));
    assert!(Settings::default().server.workers() >= 1);
}

#[test]
fn what_is_empty_is_derived() {
    let with = |file: &str| layered(file, &[]).unwrap();
    assert_eq!(with("").public_url(), "http://127.0.0.1:3000");
    assert_eq!(with("server.public_url = 'https://support.example/'").public_url(), "https://support.example");
    assert_eq!(with("database.url = 'sqlite://k.db'").database(), Database::Sqlite("k.db".into()));
    assert_eq!(with("").mail_relay(), None);
    let relay = with("mail.host = 'relay'\nmail.security = 'tls'\nmail.port = 465").mail_relay().unwrap();
    assert_eq!((relay.host.as_str(), relay.port, relay.security), ("relay", 465, MailSecurity::Tls));
    assert_eq!((relay.username, relay.password, relay.from), (None, None, None));
    let providers = with("[providers]\ntelegram_url = 'http://127.0.0.1:8081/'\nmeta_version = 'v24.0'").providers();
    assert_eq!((providers.telegram_url.as_str(), providers.meta_version.as_str()), ("http://127.0.0.1:8081", "v24.0"));
    assert_eq!(providers.meta_url, "https://graph.facebook.com");
    let s3 = |prefix: &str, credentials| FileStore::S3 {
        bucket: "b".into(),
        prefix: prefix.into(),
        endpoint: None,
        region: "us-east-1".into(),
        credentials,
    };
    assert_eq!(with("files.url = 's3://b'").file_store(), s3("", None));
    let file = "[files]\nurl = 's3://b/one/two/'\ns3_access_key_id = 'id'\ns3_secret_access_key = 'key'";
    assert_eq!(with(file).file_store(), s3("one/two", Some(("id".into(), Secret::new("key")))));
}

#[test]
fn errors_name_file_line_key_and_what_was_expected() {
    for (file, expected) in [
        ("[server]\nbnd = '1'", "k.toml:2: server.bnd: is not a known setting, the nearest is server.bind"),
        ("bind = '127.0.0.1:1'", "k.toml:1: bind: is not a known setting, the nearest is server.bind"),
        ("[server]\n\nfilter = 'info'", "k.toml:3: server.filter: is not a known setting, the nearest is log.filter"),
        ("\n[servr]\nbind = '1'", "k.toml:2: servr: is not a known section, the nearest is [server]"),
        ("\"server.bind\" = '127.0.0.1:1'", "k.toml:1: \"server.bind\": is not a known setting, the nearest is server.bind"),
        ("[inboxes]\nname = 'x'", "k.toml:1: inboxes: is not a known section, the nearest is [inbox]"),
        ("server = 3", "k.toml:1: server: expected a table, found an integer"),
        ("[server]\nworkers = 'two'", "k.toml:2: server.workers: expected an integer from 0 to 1024, found a text"),
        ("[server]\nworkers = 1.5", "k.toml:2: server.workers: expected an integer from 0 to 1024, found a decimal number"),
        ("[server]\nworkers = -1", "k.toml:2: server.workers: expected an integer from 0 to 1024, found -1"),
        ("[server]\nbind = 3000", "k.toml:2: server.bind: expected a text in quotes, found an integer"),
        (
            "[server]\nbind = 'localhost'",
            "k.toml:2: server.bind: expected an IP address with a port, such as 127.0.0.1:3000 or [::]:3000, found \"localhost\"",
        ),
        ("[outbound]\nallow_cidrs = '10.0.0.0/8'", "k.toml:2: outbound.allow_cidrs: expected a list of texts, found a text"),
        (
            "[outbound]\nallow_cidrs = ['10.0.0.0/33']",
            "k.toml:2: outbound.allow_cidrs: expected a network such as 10.0.0.0/8 or 192.168.1.7/32, found \"10.0.0.0/33\"",
        ),
        ("[log]\nformat = 'xml'", "k.toml:2: log.format: expected one of text, json, found \"xml\""),
        ("[mail]\n\nusername = 'me'", "k.toml:1: mail.host: must be set when another setting of the mail relay is"),
        ("[files]\ns3_access_key_id = 'me'", "k.toml:1: files.s3_secret_access_key: must be set when files.s3_access_key_id is"),
        ("a = 1\n[log]\nformat = 2", "k.toml:1: a: is not a known setting, the nearest is data_dir"),
        ("data_dir = ''", "k.toml:1: data_dir: must not be empty"),
    ] {
        assert_eq!(error(file, &[]), expected, "{file}");
    }
    for (file, problem) in [
        ("database.url = 'mysql://a/b'", "expected sqlite://PATH or postgres://"),
        ("database.url = 'sqlite://:memory:'", "in memory would be lost"),
        ("database.url = 'sqlite://k.db?mode=ro'", "no parameters"),
        ("files.url = '/srv/files'", "expected s3://BUCKET"),
        ("server.public_url = 'support.example'", "begins with http:// or https://"),
        ("server.public_url = 'https://a.example/?b=c'", "no user, query or fragment"),
        ("server.cors_origins = ['https://a.example/b']", "expected * or an origin"),
        ("providers.telegram_url = ''", "must not be empty"),
        ("providers.meta_url = 'graph.facebook.com'", "begins with http:// or https://"),
        ("providers.meta_version = '23'", "expected a version such as v23.0, found \"23\""),
        ("bootstrap.admin_email = 'root'", "expected an e-mail address"),
        ("log.filter = 'a=b=c'", "expected a log filter"),
    ] {
        let error = error(file, &[]);
        assert!(error.starts_with("k.toml:1: ") && error.contains(problem), "{error}");
    }
}

#[test]
fn errors_of_the_environment_name_the_variable() {
    let bnd = "environment variable KONVERSIO__SERVER__BND: is not a known setting, the nearest is KONVERSIO__SERVER__BIND";
    assert_eq!(error("", &[("KONVERSIO__SERVER__BND", "x")]), bnd);
    let workers = "environment variable KONVERSIO__SERVER__WORKERS: expected an integer from 0 to 1024";
    assert_eq!(error("", &[("KONVERSIO__SERVER__WORKERS", "many")]), workers);
    assert_eq!(error("", &[("KONVERSIO__SERVER__WORKERS", "4096")]), format!("{workers}, found 4096"));
    let inbox = "environment variable KONVERSIO__INBOX__NAME: inboxes can be set in the settings file only";
    assert_eq!(error("", &[("KONVERSIO__INBOX__NAME", "x")]), inbox);
    // Blamed is what set the value last, not where the file has it.
    let host = error("[mail]\nhost = 'relay'\nfrom = 'a@b'", &[("KONVERSIO__MAIL__HOST", "")]);
    assert_eq!(host, "environment variable KONVERSIO__MAIL__HOST: must be set when another setting of the mail relay is");
}

#[test]
fn inbox_entries_are_read_and_their_errors_have_a_line() {
    let good = "[[inbox]]\nname = ' Shop '\nchannel = { type = 'api', additional_attributes = { 'a.b' = [1, 2.5] } }\n\
                [[inbox]]\nname = 'Mail'\naccount_id = 2\nenabled = false\n[inbox.channel]\ntype = 'email'\nemail = 'a@b'\nimap_port = 143\n";
    let settings = layered(good, &[]).unwrap();
    let [shop, mail] = settings.inboxes.as_slice() else { panic!("two inboxes") };
    assert_eq!((shop.name.as_str(), shop.account_id, shop.enabled, shop.enable_auto_assignment), ("Shop", 1, true, true));
    let ChannelSettings::Api(api) = &shop.channel else { panic!("an API channel") };
    assert_eq!(serde_json::to_value(&api.additional_attributes).unwrap(), serde_json::json!({ "a.b": [1, 2.5] }));
    assert_eq!((mail.account_id, mail.enabled), (2, false));
    let ChannelSettings::Email(email) = &mail.channel else { panic!("an e-mail channel") };
    assert_eq!(email.imap_port, 143);
    assert!(Settings::default().reloadable_difference(&settings).is_empty(), "inboxes reload");

    for (line, expected) in [
        ("inbox = 1", "k.toml:1: inbox: expected [[inbox]] in double brackets, found an integer"),
        ("[inbox]\nname = 'x'", "k.toml:1: inbox: expected [[inbox]] in double brackets, found a table"),
        ("[[inbox]]\nchannel = { type = 'api' }", "k.toml:1: inbox.name: is missing"),
        ("\n[[inbox]]\nname = 'x'", "k.toml:2: inbox.channel: is missing"),
        ("[[inbox]]\nname = 'x'\nchanel = { type = 'api' }", "k.toml:3: inbox.chanel: is not a known field, the nearest is channel"),
        ("[[inbox]]\nname = 'x'\nenabled = 'yes'", "k.toml:3: inbox.enabled: expected true or false, found a text"),
        ("[[inbox]]\nname = 'x'\nmembers = ['a@b', '']", "k.toml:3: inbox.members: must not be empty"),
        ("[[inbox]]\nname = 'x'\n[inbox.channel]\nemail = 'a@b'", "k.toml:3: inbox.channel.type: is missing"),
        (
            "[[inbox]]\nname = 'x'\n[inbox.channel]\ntype = 'email'\nemial = 'a@b'",
            "k.toml:5: inbox.channel.emial: is not a known field, the nearest is email",
        ),
        (
            "[[inbox]]\nname = 'x'\n[inbox.channel]\ntype = 'email'\nemail = 'a'",
            "k.toml:5: inbox.channel.email: email must be an e-mail address",
        ),
        (
            "[[inbox]]\nname = 'x'\n[inbox.channel]\ntype = 'email'\nemail = 'a@b'\nimap_port = 70000",
            "k.toml:6: inbox.channel.imap_port: expected u16, found an integer",
        ),
        (
            "[[inbox]]\nname = 'x'\n[inbox.channel]\ntype = 'email'\nemail = 'a@b'\nsmtp_password = 4711",
            "k.toml:6: inbox.channel.smtp_password: expected a string, found an integer",
        ),
    ] {
        assert_eq!(error(line, &[]), expected, "{line}");
    }
    let whatsapp =
        |config: &str| format!("[[inbox]]\nname = 'x'\n[inbox.channel]\ntype = 'whatsapp'\n[inbox.channel.provider_config]\n{config}");
    let config = "api_key = 'k'\nphone_number_id = '11'\nbusiness_account_id = '22'\n";
    let entry = layered(&whatsapp(config), &[]).unwrap().inboxes.remove(0).channel;
    assert_eq!((entry.kind(), entry.unique_key().as_deref(), entry.webhook_address()), ("whatsapp", Some("whatsapp:11"), Some("11")));
    for (config, expected) in [
        (
            format!("{config}app_secert = 'x'"),
            "k.toml:9: inbox.channel.provider_config.app_secert: is not a known field, the nearest is app_secret",
        ),
        (format!("{config}app_secret = 4711"), "k.toml:9: inbox.channel.provider_config.app_secret: expected a string, found an integer"),
        (
            config.replace("'11'", "'no digits'"),
            "k.toml:7: inbox.channel.provider_config.phone_number_id: provider_config.phone_number_id must be Meta's id of the number: digits",
        ),
    ] {
        assert_eq!(error(&whatsapp(&config), &[]), expected, "{config}");
    }
    let bot = |name: &str| format!("[[inbox]]\nname = '{name}'\nchannel = {{ type = 'telegram', bot_token = '712345:{name}' }}\n");
    let twice = error(&(bot("one") + &bot("two")), &[]);
    assert_eq!(twice, "k.toml:6: inbox.channel.bot_token: an earlier inbox (\"one\") has the same account at Telegram");
    let twice = "[[inbox]]\nname = 'x'\nchannel.type = 'api'\n[[inbox]]\nname = 'x '\nchannel.type = 'api'";
    assert_eq!(error(twice, &[]), "k.toml:5: inbox.name: \"x\" is the name of an earlier inbox too");
    let kind = error("[[inbox]]\nname = 'x'\nchannel.type = 'carrier pigeon'", &[]);
    assert!(kind.starts_with("k.toml:3: inbox.channel.type: unknown variant `carrier pigeon`") && kind.contains("`api`"), "{kind}");
}

#[test]
fn secrets_are_neither_debugged_nor_part_of_errors() {
    let file = "[database]\nurl = 'postgres://me:swordfish@db.example:5433/desk'\n[bootstrap]\nadmin_email = 'a@b'\nadmin_password = 'swordfish'\n\
                access_token = 'swordfish'\n[files]\ns3_access_key_id = 'id'\ns3_secret_access_key = 'swordfish'\n\
                [mail]\nhost = 'relay'\nusername = 'me'\npassword = 'swordfish'\n\
                [[inbox]]\nname = 'x'\nchannel = { type = 'email', email = 'a@b', imap_password = 'swordfish', smtp_password = 'swordfish' }\n";
    let settings = layered(file, &[]).unwrap();
    let debugged = format!("{settings:?} {:?} {:?} {:?}", settings.database(), settings.file_store(), settings.mail_relay());
    assert!(debugged.contains("relay") && !debugged.contains("swordfish"), "{debugged}");
    assert_eq!(settings.database().to_string(), "postgres db.example:5433/desk");
    for file in [
        "mail.password = 'swordfish",
        "mail.password = swordfish",
        "database.url = 'postgres://me:swordfish@db.example:port/desk'",
        "bootstrap.admin_password = ['swordfish']",
        "server.public_url = 'https://me:swordfish@support.example'",
        "[[inbox]]\nname = 'x'\nchannel = { type = 'email', email = 'a@b', imap_port = 'swordfish' }",
    ] {
        let error = error(file, &[]);
        assert!(error.starts_with("k.toml:") && !error.contains("swordfish"), "{error}");
    }
}

#[test]
fn a_file_that_is_named_must_exist() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("k.toml");
    let missing = Settings::load_with(Some(&path), &[]).unwrap_err().to_string();
    assert!(missing.starts_with(&format!("{}: cannot read the settings file: ", path.display())), "{missing}");
    std::fs::write(&path, "[server]\nworkers = 2\n").unwrap();
    assert_eq!(Settings::load_with(Some(&path), &[]).unwrap().server.workers(), 2);
    std::fs::write(&path, "[server]\nworkers = 2\nworkers = 3\n").unwrap();
    let twice = Settings::load_with(Some(&path), &[]).unwrap_err();
    assert_eq!((twice.line, twice.file.as_deref()), (Some(3), Some(path.as_path())), "{twice}");
}
