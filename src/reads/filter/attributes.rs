//! What can be filtered by, and with which operators: the table of the contract (section 4), and custom attributes.
use super::{CaseStatement, Condition, DbBackend, DisplayType, Expr, ExprTrait, Func, Operator, Table, attribute, contact, conversation};
use entity::{contact_label, conversation_label};
use sea_orm::sea_query::{BinOper, Query};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};

/// Something to filter by.
pub struct Attribute {
    /// What it holds, and where.
    pub kind: Kind,
    /// How it can be compared.
    pub operators: &'static [Operator],
}

/// What an attribute holds, and where.
pub enum Kind {
    /// The status of a conversation.
    Status(Expr),
    /// The priority of a conversation.
    Priority(Expr),
    /// The id of another row.
    Id(Expr),
    /// Something that no row has here.
    Absent,
    /// A number that can be compared as a text as well.
    Number {
        /// As it is.
        column: Expr,
        /// As text.
        text: Expr,
    },
    /// True or false.
    Flag(Expr),
    /// The labels of the row.
    Labels,
    /// A text that is stored in one form.
    Exact(Expr),
    /// A phone number with its plus sign.
    Phone(Expr),
    /// A text of whatever case.
    Text(Expr),
    /// A number of any size.
    Quantity(Expr),
    /// A time.
    Time(Expr),
    /// A day, as the text `YYYY-MM-DD`.
    Date(Expr),
}

use Operator::{Contains, DaysBefore, DoesNotContain, EqualTo, IsGreaterThan, IsLessThan, IsNotPresent, IsPresent, NotEqualTo, StartsWith};

const EQUAL: &[Operator] = &[EqualTo, NotEqualTo];
const EQUAL_OR_PRESENT: &[Operator] = &[EqualTo, NotEqualTo, IsPresent, IsNotPresent];
const PART: &[Operator] = &[EqualTo, NotEqualTo, Contains, DoesNotContain];
const PART_OR_START: &[Operator] = &[EqualTo, NotEqualTo, Contains, DoesNotContain, StartsWith];
const TIME: &[Operator] = &[IsGreaterThan, IsLessThan, DaysBefore];
const OF_TEXT: &[Operator] = &[EqualTo, NotEqualTo, Contains, DoesNotContain, IsPresent, IsNotPresent];
const OF_NUMBER: &[Operator] = &[EqualTo, NotEqualTo, IsPresent, IsNotPresent, IsGreaterThan, IsLessThan];
const OF_DATE: &[Operator] = &[EqualTo, NotEqualTo, IsPresent, IsNotPresent, IsGreaterThan, IsLessThan, DaysBefore];

/// An attribute that every account has.
pub fn standard(table: Table, key: &str) -> Option<Attribute> {
    let (kind, operators) = match table {
        Table::Conversations => of_conversations(key)?,
        Table::Contacts => of_contacts(key)?,
    };
    Some(Attribute { kind, operators })
}

fn of_conversations(key: &str) -> Option<(Kind, &'static [Operator])> {
    use conversation::Column as C;
    let column = |column: C| Expr::col((conversation::Entity, column));
    Some(match key {
        "status" => (Kind::Status(column(C::Status)), EQUAL),
        "priority" => (Kind::Priority(column(C::Priority)), EQUAL),
        "contact_id" => (Kind::Id(column(C::ContactId)), EQUAL),
        "assignee_id" => (Kind::Id(column(C::AssigneeId)), EQUAL_OR_PRESENT),
        "inbox_id" => (Kind::Id(column(C::InboxId)), EQUAL_OR_PRESENT),
        "team_id" => (Kind::Id(column(C::TeamId)), EQUAL_OR_PRESENT),
        "campaign_id" => (Kind::Absent, EQUAL_OR_PRESENT),
        "labels" => (Kind::Labels, EQUAL_OR_PRESENT),
        "display_id" => (Kind::Number { column: column(C::DisplayId), text: column(C::DisplayId).cast_as("text") }, PART),
        "browser_language" | "conversation_language" => {
            (Kind::Text(attribute((conversation::Entity, C::AdditionalAttributes), key)), EQUAL)
        }
        "referer" | "mail_subject" => (Kind::Text(attribute((conversation::Entity, C::AdditionalAttributes), key)), PART),
        "created_at" => (Kind::Time(column(C::CreatedAt)), TIME),
        "last_activity_at" => (Kind::Time(column(C::LastActivityAt)), TIME),
        _ => return None,
    })
}

fn of_contacts(key: &str) -> Option<(Kind, &'static [Operator])> {
    use contact::Column as C;
    let column = |column: C| Expr::col((contact::Entity, column));
    let additional = || attribute((contact::Entity, C::AdditionalAttributes), key);
    Some(match key {
        "name" => (Kind::Text(column(C::Name)), PART),
        "email" => (Kind::Text(column(C::Email)), PART),
        "phone_number" => (Kind::Phone(column(C::PhoneNumber)), PART_OR_START),
        "identifier" => (Kind::Exact(column(C::Identifier)), EQUAL),
        "country_code" => (Kind::Text(additional()), EQUAL),
        "city" | "company_name" => (Kind::Text(additional()), PART),
        "blocked" => (Kind::Flag(column(C::Blocked)), EQUAL),
        "labels" => (Kind::Labels, EQUAL_OR_PRESENT),
        "created_at" => (Kind::Time(column(C::CreatedAt)), TIME),
        "last_activity_at" => (Kind::Time(column(C::LastActivityAt)), TIME),
        _ => return None,
    })
}

/// An attribute that an account has defined. What is stored otherwise than defined is as if it were not set.
pub fn custom(at: &Expr, key: &str, display_type: DisplayType, backend: DbBackend) -> Attribute {
    let value = || at.clone().binary(BinOper::Custom("->>"), Expr::val(key));
    let as_text = value().cast_as("text");
    // The value as JSON: `true`, `5`, `"text"`.
    let as_json = at.clone().binary(BinOper::Custom("->"), Expr::val(key));
    let (kind, operators) = match display_type {
        DisplayType::Text | DisplayType::Link | DisplayType::List => (Kind::Text(as_text), OF_TEXT),
        DisplayType::Number | DisplayType::Currency | DisplayType::Percent => {
            let (kind_of, numbers, float): (_, &[&str], _) = match backend {
                DbBackend::Postgres => ("jsonb_typeof", &["number"], "double precision"),
                _ => ("json_type", &["integer", "real"], "real"),
            };
            let is_number = Expr::from(Func::cust(kind_of).arg(as_json)).is_in(numbers.iter().copied());
            // Only what is a number is ever read as one: PostgreSQL refuses to read others.
            (Kind::Quantity(CaseStatement::new().case(is_number, value().cast_as(float)).into()), OF_NUMBER)
        }
        DisplayType::Date => (Kind::Date(as_text), OF_DATE),
        DisplayType::Checkbox => {
            let as_json = as_json.cast_as("text");
            let flag = CaseStatement::new().case(as_json.clone().eq("true"), true).case(as_json.eq("false"), false);
            (Kind::Flag(flag.into()), EQUAL_OR_PRESENT)
        }
    };
    Attribute { kind, operators }
}

/// The custom attributes of a conversation's contact: one row, found by its id.
pub fn of_its_contact() -> Expr {
    let owner = Expr::col((conversation::Entity, conversation::Column::ContactId));
    let contact = Query::select()
        .column((contact::Entity, contact::Column::CustomAttributes))
        .from(contact::Entity)
        .and_where(Expr::col((contact::Entity, contact::Column::Id)).eq(owner))
        .take();
    Expr::SubQuery(None, Box::new(contact.into()))
}

/// The rows that have a label, whichever.
pub fn labelled_at_all(table: Table, account_id: i64) -> Expr {
    match table {
        Table::Conversations => {
            let labelled = conversation_label::Entity::find().select_only().column(conversation_label::Column::ConversationId);
            let labelled = labelled.filter(Condition::all().add(conversation_label::Column::AccountId.eq(account_id)));
            conversation::Column::Id.in_subquery(labelled.into_query())
        }
        Table::Contacts => {
            let labelled = contact_label::Entity::find().select_only().column(contact_label::Column::ContactId);
            let labelled = labelled.filter(Condition::all().add(contact_label::Column::AccountId.eq(account_id)));
            contact::Column::Id.in_subquery(labelled.into_query())
        }
    }
}
