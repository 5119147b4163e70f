//! What filters are refused, and what the others compile to.
#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;
use sea_orm::sea_query::{PostgresQueryBuilder, Query, SqliteQueryBuilder};
use serde_json::json;

fn compiler(table: Table, backend: DbBackend) -> Compiler<'static> {
    static CUSTOM: std::sync::LazyLock<Vec<Custom>> = std::sync::LazyLock::new(|| {
        use AttributeModel::{Contact, Conversation};
        let custom = |key: &str, display_type, model| Custom { key: key.to_owned(), display_type, model };
        vec![
            custom("plan", DisplayType::Text, Conversation),
            custom("seats", DisplayType::Number, Conversation),
            custom("renewal", DisplayType::Date, Conversation),
            custom("vip", DisplayType::Checkbox, Conversation),
            custom("plan", DisplayType::Text, Contact),
            custom("age", DisplayType::Number, Contact),
        ]
    });
    Compiler { backend, account_id: 7, table, custom: &CUSTOM, today: "2026-11-21".parse().unwrap() }
}

/// What follows WHERE on SQLite, with the values in their places.
fn sql(table: Table, payload: &Value) -> std::result::Result<String, String> {
    let condition = compiler(table, DbBackend::Sqlite).compile(payload).map_err(|refused| refused.to_string())?;
    let mut select = Query::select();
    select.expr(Expr::val(1)).cond_where(condition);
    let text = select.to_string(SqliteQueryBuilder).replace("\"conversations\".", "").replace("\"contacts\".", "");
    Ok(text.strip_prefix("SELECT 1").unwrap().trim_start_matches(" WHERE ").replace('"', ""))
}

fn one(key: &str, operator: &str, values: Value) -> Value {
    json!([{ "attribute_key": key, "filter_operator": operator, "values": values, "query_operator": null }])
}

#[test]
fn every_key_of_the_contract_compiles_with_its_operators_and_no_others() {
    let (equal, present, part) = ("equal_to not_equal_to", "is_present is_not_present", "contains does_not_contain");
    let time = "is_greater_than is_less_than days_before";
    let all = [equal, present, part, time, "starts_with"].join(" ");
    for (table, keys, operators) in [
        (Table::Conversations, "status priority contact_id browser_language conversation_language", equal.to_owned()),
        (Table::Conversations, "assignee_id inbox_id team_id campaign_id labels", format!("{equal} {present}")),
        (Table::Conversations, "display_id referer mail_subject", format!("{equal} {part}")),
        (Table::Conversations, "created_at last_activity_at", time.to_owned()),
        (Table::Contacts, "name email city company_name", format!("{equal} {part}")),
        (Table::Contacts, "phone_number", format!("{equal} {part} starts_with")),
        (Table::Contacts, "identifier country_code blocked", equal.to_owned()),
        (Table::Contacts, "labels", format!("{equal} {present}")),
        (Table::Contacts, "created_at last_activity_at", time.to_owned()),
    ] {
        for key in keys.split(' ') {
            for operator in all.split(' ') {
                let value = match (key, operator) {
                    ("status", _) => json!("open"),
                    ("priority", _) => json!("high"),
                    ("blocked", _) => json!(true),
                    (_, "is_greater_than" | "is_less_than") => json!("2026-01-31"),
                    _ => json!("5"),
                };
                let allowed = operators.split(' ').any(|allowed| allowed == operator);
                let compiled = sql(table, &one(key, operator, json!([value])));
                assert_eq!(compiled.is_ok(), allowed, "{table:?} {key} {operator}: {compiled:?}");
            }
        }
    }
}

#[test]
fn what_filters_compile_to() {
    use Table::{Contacts, Conversations};
    for (table, key, operator, values, expected) in [
        (Conversations, "status", "equal_to", json!(["open", "pending"]), "status IN (0, 2)"),
        (Conversations, "status", "equal_to", json!(["all"]), "TRUE"),
        (Conversations, "priority", "not_equal_to", json!(["urgent"]), "priority NOT IN (3) OR priority IS NULL"),
        (Conversations, "assignee_id", "equal_to", json!([{ "id": 3, "name": "Ada" }]), "assignee_id IN (3)"),
        (Conversations, "assignee_id", "is_not_present", json!([]), "assignee_id IS NULL"),
        (Conversations, "display_id", "contains", json!("42"), "instr(LOWER(CAST(display_id AS text)), LOWER('42')) > 0"),
        (Conversations, "created_at", "is_greater_than", json!(["2026-01-31"]), "created_at > '2026-01-31 00:00:00.000000 +00:00'"),
        (Conversations, "last_activity_at", "days_before", json!([3]), "last_activity_at < '2026-11-18 00:00:00.000000 +00:00'"),
        (
            Conversations,
            "referer",
            "does_not_contain",
            json!(["Shop"]),
            "(NOT instr(LOWER(additional_attributes ->> 'referer'), LOWER('Shop')) > 0) OR (additional_attributes ->> 'referer') IS NULL",
        ),
        (
            Conversations,
            "labels",
            "equal_to",
            json!(["vip"]),
            "id IN (SELECT conversation_labels.conversation_id FROM conversation_labels WHERE conversation_labels.account_id = 7 AND \
             conversation_labels.title IN ('vip'))",
        ),
        (Contacts, "name", "equal_to", json!(["Ann"]), "LOWER(name) IN (LOWER('Ann'))"),
        (Contacts, "phone_number", "starts_with", json!(["+49"]), "instr(LOWER(phone_number), LOWER('+49')) = 1"),
        (Contacts, "phone_number", "equal_to", json!(["4912"]), "phone_number IN ('+4912')"),
        (Contacts, "blocked", "equal_to", json!(["true"]), "blocked IN (TRUE)"),
        (Conversations, "plan", "equal_to", json!(["Gold"]), "LOWER(CAST((custom_attributes ->> 'plan') AS text)) IN (LOWER('Gold'))"),
        (Conversations, "renewal", "is_less_than", json!(["2026-02-01"]), "CAST((custom_attributes ->> 'renewal') AS text) < '2026-02-01'"),
    ] {
        assert_eq!(sql(table, &one(key, operator, values)).as_deref(), Ok(expected), "{key} {operator}");
    }
}

#[test]
fn attributes_of_the_contact_are_read_from_its_row() {
    let clause = |key: &str, kind: &str, value: Value| {
        json!([{ "attribute_key": key, "filter_operator": "not_equal_to", "values": [value], "custom_attribute_type": kind,
            "query_operator": null }])
    };
    let of_contact = "(SELECT custom_attributes FROM contacts WHERE id = contact_id)";
    let text = format!("CAST(({of_contact} ->> 'plan') AS text)");
    let expected = format!("LOWER({text}) NOT IN (LOWER('Gold')) OR {text} IS NULL");
    assert_eq!(sql(Table::Conversations, &clause("plan", "contact_attribute", json!("Gold"))), Ok(expected));
    let own = "LOWER(CAST((custom_attributes ->> 'plan') AS text)) NOT IN (LOWER('Gold')) OR CAST((custom_attributes ->> 'plan') AS text) IS NULL";
    for (table, kind) in [
        (Table::Conversations, ""),
        (Table::Conversations, "conversation_attribute"),
        (Table::Contacts, ""),
        (Table::Contacts, "contact_attribute"),
    ] {
        assert_eq!(sql(table, &clause("plan", kind, json!("Gold"))).as_deref(), Ok(own), "{table:?} {kind}");
    }
    assert!(sql(Table::Conversations, &clause("age", "contact_attribute", json!(7))).is_ok());
    for (table, key, kind) in [
        (Table::Conversations, "age", ""),
        (Table::Conversations, "seats", "contact_attribute"),
        (Table::Contacts, "seats", "conversation_attribute"),
        (Table::Conversations, "plan", "company_attribute"),
    ] {
        assert!(sql(table, &clause(key, kind, json!(7))).is_err(), "{table:?} {key} {kind}");
    }
}

#[test]
fn and_binds_tighter_than_or_from_left_to_right() {
    let clause = |id: i64, then: Value| json!({ "attribute_key": "inbox_id", "filter_operator": "equal_to", "values": [id], "query_operator": then });
    for (then, expected) in [
        (["and", "and", ""], "inbox_id IN (1) AND inbox_id IN (2) AND inbox_id IN (3)"),
        (["or", "or", ""], "inbox_id IN (1) OR inbox_id IN (2) OR inbox_id IN (3)"),
        (["and", "or", ""], "(inbox_id IN (1) AND inbox_id IN (2)) OR inbox_id IN (3)"),
        (["or", "and", ""], "inbox_id IN (1) OR (inbox_id IN (2) AND inbox_id IN (3))"),
        (["OR", "AND", ""], "inbox_id IN (1) OR (inbox_id IN (2) AND inbox_id IN (3))"),
    ] {
        let payload: Value = then.iter().zip(1..).map(|(then, id)| clause(id, json!(then))).collect();
        assert_eq!(sql(Table::Conversations, &payload).as_deref(), Ok(expected), "{then:?}");
    }
}

#[test]
fn what_is_unknown_is_refused() {
    let clause = |key: &str, operator: &str, values: Value| one(key, operator, values);
    let two = |then: Value| {
        json!([{ "attribute_key": "status", "filter_operator": "equal_to", "values": ["open"], "query_operator": then },
        { "attribute_key": "status", "filter_operator": "equal_to", "values": ["open"], "query_operator": null }])
    };
    for payload in [
        json!({}),
        json!("status"),
        json!([1]),
        json!([{ "attribute_key": "status" }]),
        clause("no_such_key", "equal_to", json!(["x"])),
        clause("status", "no_such_operator", json!(["open"])),
        clause("status", "equal_to", json!(["foo"])),
        clause("status", "equal_to", json!([])),
        clause("status", "equal_to", json!([["open"]])),
        clause("inbox_id", "equal_to", json!(["1 OR 1=1"])),
        clause("inbox_id", "equal_to", json!([1.5])),
        clause("created_at", "is_greater_than", json!(["yesterday"])),
        clause("created_at", "is_greater_than", json!(["2026-01-01", "2026-01-02"])),
        clause("created_at", "days_before", json!(["-1"])),
        clause("created_at", "days_before", json!([9_000_000_000_000_i64])),
        clause("seats", "is_greater_than", json!(["many"])),
        clause("seats", "contains", json!(["1"])),
        clause("inbox_id", "equal_to", json!(vec![1; LIMIT + 1])),
        Value::Array(vec![json!({}); LIMIT + 1]),
        two(json!(null)),
        two(json!("xor")),
        json!([{ "attribute_key": "vip", "filter_operator": "equal_to", "values": ["x"], "custom_attribute_type": "contact_attribute" }]),
        json!([{ "attribute_key": "status", "filter_operator": "equal_to", "values": ["open"], "attribute_model": "custom_attribute" }]),
    ] {
        assert!(sql(Table::Conversations, &payload).is_err(), "{payload}");
    }
    assert_eq!(sql(Table::Conversations, &json!([])).as_deref(), Ok("TRUE"), "no filter filters nothing");
}

/// Whatever stands in a value, the statement is the same: it is only ever bound.
#[test]
fn values_are_bound_and_never_part_of_a_statement() {
    let hostile = "'; DROP TABLE contacts; --";
    for (key, operator) in
        [("name", "equal_to"), ("name", "contains"), ("city", "does_not_contain"), ("labels", "equal_to"), ("plan", "contains")]
    {
        for backend in [DbBackend::Sqlite, DbBackend::Postgres] {
            let build = |value: &str| {
                let condition = compiler(Table::Contacts, backend).compile(&one(key, operator, json!([value]))).unwrap();
                let mut select = Query::select();
                select.expr(Expr::val(1)).cond_where(condition);
                match backend {
                    DbBackend::Postgres => select.build(PostgresQueryBuilder).0,
                    _ => select.build(SqliteQueryBuilder).0,
                }
            };
            assert_eq!(build(hostile), build("x"), "{key} {operator}");
            assert!(!build(hostile).contains("DROP"), "{key} {operator}");
        }
    }
}
