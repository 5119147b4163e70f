//! `custom_attribute_definitions`: which custom attributes contacts and conversations have.
use sea_orm::entity::prelude::*;

/// One attribute; unique on account, model and key.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel, serde::Serialize)]
#[sea_orm(table_name = "custom_attribute_definitions")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub account_id: i64,
    pub attribute_key: String,
    pub attribute_display_name: String,
    pub attribute_display_type: DisplayType,
    pub attribute_description: Option<String>,
    pub attribute_model: AttributeModel,
    /// What a list offers.
    pub attribute_values: Json,
    pub regex_pattern: Option<String>,
    pub regex_cue: Option<String>,
    pub default_value: Option<Json>,
    pub created_at: DateTimeUtc,
    pub updated_at: DateTimeUtc,
}

/// How an attribute is shown and checked; the numbers are those that the contract accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum DisplayType {
    #[serde(rename = "text")]
    Text = 0,
    #[serde(rename = "number")]
    Number = 1,
    #[serde(rename = "currency")]
    Currency = 2,
    #[serde(rename = "percent")]
    Percent = 3,
    #[serde(rename = "link")]
    Link = 4,
    #[serde(rename = "date")]
    Date = 5,
    #[serde(rename = "list")]
    List = 6,
    #[serde(rename = "checkbox")]
    Checkbox = 7,
}

impl DisplayType {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            DisplayType::Text => "text",
            DisplayType::Number => "number",
            DisplayType::Currency => "currency",
            DisplayType::Percent => "percent",
            DisplayType::Link => "link",
            DisplayType::Date => "date",
            DisplayType::List => "list",
            DisplayType::Checkbox => "checkbox",
        }
    }
}

/// What has the attribute; the numbers are those that the contract accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[sea_orm(rs_type = "i16", db_type = "SmallInteger")]
pub enum AttributeModel {
    #[serde(rename = "conversation_attribute")]
    Conversation = 0,
    #[serde(rename = "contact_attribute")]
    Contact = 1,
    #[serde(rename = "company_attribute")]
    Company = 2,
}

impl AttributeModel {
    /// The contract's word for it.
    pub fn name(self) -> &'static str {
        match self {
            AttributeModel::Conversation => "conversation_attribute",
            AttributeModel::Contact => "contact_attribute",
            AttributeModel::Company => "company_attribute",
        }
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
