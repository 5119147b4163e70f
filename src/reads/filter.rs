//! The contract's filter objects (section 4), compiled to a condition on conversations or contacts.
//!
//! Pure: what can be filtered, how, and with which values is decided here and nowhere else. Values and names of custom
//! attributes only ever become bound values of the statement. `AND` binds tighter than `OR`, from left to right.
mod attributes;
#[cfg(test)]
mod tests;

use super::contacts::attribute;
use super::{contacts, conversations};
use attributes::{Attribute, Kind, standard};
use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use entity::conversation::{Priority, Status};
use entity::custom_attribute_definition::{AttributeModel, DisplayType};
use entity::{contact, conversation};
use sea_orm::sea_query::{CaseStatement, Expr, ExprTrait, Func};
use sea_orm::{ActiveEnum, Condition, DbBackend, Iterable};
use serde::Deserialize;
use serde_json::Value;

/// More filters in one list, or values in one filter, are refused.
const LIMIT: usize = 100;

/// What is filtered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Conversations.
    Conversations,
    /// Contacts.
    Contacts,
}

impl Table {
    /// Whose custom attributes are filtered by where a filter does not say.
    pub fn model(self) -> AttributeModel {
        match self {
            Table::Conversations => AttributeModel::Conversation,
            Table::Contacts => AttributeModel::Contact,
        }
    }
}

/// A custom attribute of an account.
#[derive(Clone, Debug)]
pub struct Custom {
    /// Its name in `custom_attributes`.
    pub key: String,
    /// What it holds.
    pub display_type: DisplayType,
    /// Whose it is.
    pub model: AttributeModel,
}

/// What a filter is compiled for.
#[derive(Clone, Debug)]
pub struct Compiler<'a> {
    /// The database that will be asked.
    pub backend: DbBackend,
    /// The account.
    pub account_id: i64,
    /// What is filtered.
    pub table: Table,
    /// The custom attributes of the account.
    pub custom: &'a [Custom],
    /// From which `days_before` counts.
    pub today: NaiveDate,
}

/// Why a filter cannot be compiled, in words for the caller.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

type Result<T> = std::result::Result<T, Refused>;

/// One filter as the contract has it.
#[derive(Debug, Deserialize)]
struct Clause {
    attribute_key: String,
    filter_operator: String,
    #[serde(default)]
    values: Value,
    #[serde(default)]
    query_operator: Option<String>,
    #[serde(default)]
    attribute_model: Option<String>,
    #[serde(default)]
    custom_attribute_type: Option<String>,
}

/// The contract's operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operator {
    EqualTo,
    NotEqualTo,
    Contains,
    DoesNotContain,
    StartsWith,
    IsPresent,
    IsNotPresent,
    IsGreaterThan,
    IsLessThan,
    DaysBefore,
}

impl Compiler<'_> {
    /// Compiles `payload`, a list of filters; an empty list filters nothing.
    ///
    /// # Errors
    /// In words for the caller, if a key, operator or value is unknown.
    pub fn compile(&self, payload: &Value) -> Result<Condition> {
        let Value::Array(clauses) = payload else { return refuse("payload must be a list of filters") };
        if clauses.len() > LIMIT {
            return refuse(format!("payload has more than {LIMIT} filters"));
        }
        let (mut any, mut all) = (Condition::any(), Condition::all());
        for (position, clause) in clauses.iter().enumerate() {
            let clause: Clause = Clause::deserialize(clause).map_err(|error| Refused(format!("Filter {}: {error}", position + 1)))?;
            all = all.add(self.condition(&clause)?);
            if position + 1 == clauses.len() {
                break;
            }
            match clause.query_operator.as_deref().map(str::to_ascii_lowercase).as_deref() {
                Some("and") => {}
                Some("or") => any = any.add(std::mem::replace(&mut all, Condition::all())),
                _ => return refuse("query_operator must be \"and\" or \"or\" in every filter but the last"),
            }
        }
        Ok(if any.is_empty() { all } else { any.add(all) })
    }

    fn condition(&self, clause: &Clause) -> Result<Condition> {
        let key = clause.attribute_key.as_str();
        let name = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(&clause.filter_operator);
        let operator =
            Operator::deserialize(name).map_err(|_| Refused(format!("Invalid operator {} for {key}", clause.filter_operator)))?;
        let found = match clause.attribute_model.as_deref() {
            Some("custom_attribute") => None,
            _ => standard(self.table, key),
        };
        let found = found.or_else(|| self.custom(clause));
        let Attribute { kind, operators } = found.ok_or_else(|| Refused(format!("Invalid attribute key {key}")))?;
        if !operators.contains(&operator) {
            return refuse(format!("Invalid operator {} for {key}", clause.filter_operator));
        }
        let values = values(key, &clause.values)?;
        if values.is_empty() && !matches!(operator, Operator::IsPresent | Operator::IsNotPresent) {
            return refuse(format!("Invalid value for {key}: values are missing"));
        }
        self.compare(key, kind, operator, &values)
    }

    fn custom(&self, clause: &Clause) -> Option<Attribute> {
        let model = clause.custom_attribute_type.as_deref().filter(|model| !model.is_empty()).unwrap_or_else(|| self.table.model().name());
        let custom = self.custom.iter().find(|custom| custom.key == clause.attribute_key && custom.model.name() == model)?;
        let at = match (self.table, custom.model) {
            (Table::Conversations, AttributeModel::Conversation) => {
                Expr::col((conversation::Entity, conversation::Column::CustomAttributes))
            }
            (Table::Conversations, AttributeModel::Contact) => attributes::of_its_contact(),
            (Table::Contacts, AttributeModel::Contact) => Expr::col((contact::Entity, contact::Column::CustomAttributes)),
            _ => return None,
        };
        Some(attributes::custom(&at, &custom.key, custom.display_type, self.backend))
    }

    fn compare(&self, key: &str, kind: Kind, operator: Operator, given: &[Value]) -> Result<Condition> {
        let each = |read: &dyn Fn(&Value) -> Option<sea_orm::Value>| {
            given.iter().map(|value| read(value).ok_or_else(|| unknown(key, value))).collect::<Result<Vec<_>>>()
        };
        match kind {
            Kind::Status(column) => {
                if given.iter().any(|value| value == "all") {
                    return Ok(match operator {
                        Operator::EqualTo => Condition::all(),
                        _ => nothing(),
                    });
                }
                let status = |value: &Value| Status::iter().find(|status| value == status.name()).map(|status| status.to_value().into());
                Ok(among(column, operator, each(&status)?))
            }
            Kind::Priority(column) => {
                let priority =
                    |value: &Value| Priority::iter().find(|priority| value == priority.name()).map(|priority| priority.to_value().into());
                Ok(among(column, operator, each(&priority)?))
            }
            Kind::Id(column) => Ok(among(column, operator, each(&|value| id(value).map(Into::into))?)),
            Kind::Absent => {
                each(&|value| id(value).map(Into::into))?;
                Ok(match operator {
                    Operator::NotEqualTo | Operator::IsNotPresent => Condition::all(),
                    _ => nothing(),
                })
            }
            Kind::Number { column, text } => match operator {
                Operator::Contains | Operator::DoesNotContain => self.part(text, operator, key, given),
                _ => Ok(among(column, operator, each(&|value| id(value).map(Into::into))?)),
            },
            Kind::Flag(column) => Ok(among(column, operator, each(&|value| flag(value).map(Into::into))?)),
            Kind::Labels => self.labels(operator, key, given),
            Kind::Exact(column) | Kind::Phone(column) | Kind::Text(column)
                if matches!(operator, Operator::Contains | Operator::DoesNotContain | Operator::StartsWith) =>
            {
                self.part(column, operator, key, given)
            }
            Kind::Exact(column) => Ok(among(column, operator, each(&|value| text(value).map(Into::into))?)),
            Kind::Phone(column) => {
                let number = |value: &Value| text(value).map(|text| format!("+{}", text.trim().trim_start_matches('+')).into());
                Ok(among(column, operator, each(&number)?))
            }
            Kind::Text(column) => {
                let lower = each(&|value| text(value).map(Into::into))?.into_iter().map(|value| Func::lower(Expr::val(value)).into());
                Ok(among_expressions(column, Func::lower, operator, lower.collect()))
            }
            Kind::Quantity(column) => match operator {
                Operator::IsGreaterThan | Operator::IsLessThan => Ok(ordered(column, operator, Expr::val(first(key, given, quantity)?))),
                _ => Ok(among(column, operator, each(&|value| quantity(value).map(Into::into))?)),
            },
            Kind::Time(column) => {
                let bound = match operator {
                    Operator::DaysBefore => midnight(self.days_before(key, given)?),
                    _ => first(key, given, time)?,
                };
                Ok(ordered(column, operator, Expr::val(bound)))
            }
            Kind::Date(column) => match operator {
                Operator::IsGreaterThan | Operator::IsLessThan => {
                    Ok(ordered(column, operator, Expr::val(first(key, given, date)?.to_string())))
                }
                Operator::DaysBefore => Ok(ordered(column, operator, Expr::val(self.days_before(key, given)?.to_string()))),
                _ => Ok(among(column, operator, each(&|value| text(value).map(Into::into))?)),
            },
        }
    }

    fn labels(&self, operator: Operator, key: &str, given: &[Value]) -> Result<Condition> {
        let titles = given.iter().map(|value| text(value).ok_or_else(|| unknown(key, value))).collect::<Result<Vec<_>>>()?;
        let with = match (self.table, titles.is_empty()) {
            (Table::Conversations, false) => conversations::labelled(self.account_id, &titles),
            (Table::Contacts, false) => contacts::labelled(self.account_id, &titles),
            (table, true) => attributes::labelled_at_all(table, self.account_id),
        };
        Ok(Condition::all().add(match operator {
            Operator::EqualTo | Operator::IsPresent => with,
            _ => with.not(),
        }))
    }

    /// Whether a text contains (or begins with) any of the values, whatever the case.
    fn part(&self, column: Expr, operator: Operator, key: &str, given: &[Value]) -> Result<Condition> {
        let find = match self.backend {
            DbBackend::Postgres => "strpos",
            _ => "instr",
        };
        let mut any = Condition::any();
        for value in given {
            let text = text(value).ok_or_else(|| unknown(key, value))?;
            let position: Expr = Func::cust(find).arg(Func::lower(column.clone())).arg(Func::lower(Expr::val(text))).into();
            any = any.add(match operator {
                Operator::StartsWith => position.eq(1),
                _ => position.gt(0),
            });
        }
        Ok(match operator {
            Operator::DoesNotContain => Condition::any().add(any.not()).add(column.is_null()),
            _ => any,
        })
    }

    fn days_before(&self, key: &str, given: &[Value]) -> Result<NaiveDate> {
        let days = first(key, given, |value| id(value).and_then(|days| u64::try_from(days).ok()))?;
        self.today.checked_sub_days(Days::new(days)).ok_or_else(|| Refused(format!("Invalid value for {key}: too many days")))
    }
}

/// Among the values, or not: what has no value is not among them. Present, or not.
fn among(column: Expr, operator: Operator, values: Vec<sea_orm::Value>) -> Condition {
    among_expressions(column, |column| column, operator, values.into_iter().map(Expr::val).collect())
}

fn among_expressions<C: Into<Expr>>(column: Expr, compared: impl Fn(Expr) -> C, operator: Operator, values: Vec<Expr>) -> Condition {
    let side: Expr = compared(column.clone()).into();
    match operator {
        Operator::IsPresent => Condition::all().add(column.is_not_null()),
        Operator::IsNotPresent => Condition::all().add(column.is_null()),
        Operator::NotEqualTo => Condition::any().add(side.is_not_in(values)).add(column.is_null()),
        _ => Condition::all().add(side.is_in(values)),
    }
}

fn ordered(column: Expr, operator: Operator, bound: Expr) -> Condition {
    Condition::all().add(match operator {
        Operator::IsGreaterThan => column.gt(bound),
        _ => column.lt(bound),
    })
}

fn nothing() -> Condition {
    Condition::all().add(Expr::val(1).eq(0))
}

/// Clients send a list, or the one value alone, and values as they are or as the object of a choice.
fn values(key: &str, given: &Value) -> Result<Vec<Value>> {
    let list = match given {
        Value::Null => Vec::new(),
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    if list.len() > LIMIT {
        return refuse(format!("Invalid value for {key}: more than {LIMIT} values"));
    }
    let plain = list.into_iter().map(|value| match value {
        Value::Object(mut choice) => choice.remove("id").unwrap_or_default(),
        other => other,
    });
    Ok(plain.filter(|value| !value.is_null() && value != "").collect())
}

fn first<T>(key: &str, given: &[Value], read: impl Fn(&Value) -> Option<T>) -> Result<T> {
    match given {
        [one] => read(one).ok_or_else(|| unknown(key, one)),
        _ => refuse(format!("Invalid value for {key}: one value is expected")),
    }
}

fn id(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn quantity(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::String(text) if text == "true" => Some(true),
        Value::String(text) if text == "false" => Some(false),
        _ => None,
    }
}

fn date(value: &Value) -> Option<NaiveDate> {
    value.as_str()?.trim().parse().ok()
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    let whole = || value.as_str().and_then(|text| text.trim().parse::<DateTime<Utc>>().ok());
    date(value).map(midnight).or_else(whole)
}

fn midnight(date: NaiveDate) -> DateTime<Utc> {
    date.and_time(NaiveTime::MIN).and_utc()
}

fn unknown(key: &str, value: &Value) -> Refused {
    Refused(format!("Invalid value for {key}: {value}"))
}

fn refuse<T>(words: impl Into<String>) -> Result<T> {
    Err(Refused(words.into()))
}
