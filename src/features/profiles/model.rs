//! The things: fields of profiles, and what is lost when one goes.
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};

use crate::expr::Kind;
use crate::features::collections::{Bound, Field, FieldType};

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum ProfileFieldType {
    Text,
    /// A whole number of 64 bits.
    Integer,
    Number,
    Bool,
    /// A moment: RFC 3339, kept to the millisecond, shown in UTC.
    Datetime,
    /// One of `values`.
    Select,
    /// An `http` or `https` address.
    Url,
    /// Any JSON.
    Json,
}

/// Who sets a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum Writer {
    /// People themselves, and those who may change accounts.
    Owner,
    /// Only those who may change accounts.
    Admin,
}

/// A field of profiles.
#[derive(Clone, Debug, PartialEq, Object)]
#[oai(rename_all = "camelCase", deny_unknown_fields, skip_serializing_if_is_none)]
pub struct ProfileField {
    /// Letters, digits and `_`, beginning with a letter; no other field differs by case alone.
    #[oai(validator(min_length = 1, max_length = 63))]
    pub name: String,
    /// It stays: another type is another field.
    #[oai(rename = "type")]
    pub field_type: ProfileFieldType,
    /// Whether a value cannot be removed, and must be there when a profile is replaced.
    #[oai(default)]
    pub required: bool,
    /// Absent: `owner`. A rule that asks for `auth.fields.<name>` of such a field trusts its owner.
    pub writable: Option<Writer>,
    /// Smallest number, or fewest characters.
    pub min: Option<Bound>,
    /// Largest number, or most characters.
    pub max: Option<Bound>,
    /// A regular expression that a text matches.
    #[oai(validator(max_length = 500))]
    pub pattern: Option<String>,
    /// What may be selected.
    #[oai(validator(max_items = 500))]
    pub values: Option<Vec<String>>,
}

/// All fields of profiles.
#[derive(Clone, Debug, Default, PartialEq, Object)]
#[oai(example, deny_unknown_fields)]
pub struct ProfileFields {
    #[oai(validator(max_items = 50))]
    pub fields: Vec<ProfileField>,
}

/// A field that goes, and in how many accounts it has a value.
#[derive(Clone, Debug, PartialEq, Eq, Object)]
pub struct LostField {
    pub name: String,
    pub accounts: u64,
}

/// All fields of profiles, and what went or would go with those that are there no more.
#[derive(Clone, Debug, Default, PartialEq, Object)]
#[oai(example)]
pub struct ProfileFieldsReport {
    pub fields: Vec<ProfileField>,
    pub lost: Vec<LostField>,
}

impl ProfileFieldType {
    /// What expressions take the values for.
    pub(super) fn kind(self) -> Kind {
        match self {
            Self::Text | Self::Select | Self::Url => Kind::Text,
            Self::Integer => Kind::Integer,
            Self::Number => Kind::Number,
            Self::Bool => Kind::Bool,
            Self::Datetime => Kind::Moment,
            Self::Json => Kind::Json,
        }
    }
}

impl ProfileField {
    /// The same as a field of records, by which its values are judged.
    pub(super) fn as_field(&self) -> Field {
        let field_type = match self.field_type {
            ProfileFieldType::Text => FieldType::Text,
            ProfileFieldType::Integer => FieldType::Integer,
            ProfileFieldType::Number => FieldType::Number,
            ProfileFieldType::Bool => FieldType::Bool,
            ProfileFieldType::Datetime => FieldType::Datetime,
            ProfileFieldType::Select => FieldType::Select,
            ProfileFieldType::Url => FieldType::Url,
            ProfileFieldType::Json => FieldType::Json,
        };
        Field {
            required: self.required,
            min: self.min,
            max: self.max,
            pattern: self.pattern.clone(),
            values: self.values.clone(),
            ..Field::new(&self.name, field_type)
        }
    }

    pub(super) fn is_for_owners(&self) -> bool {
        self.writable.unwrap_or(Writer::Owner) == Writer::Owner
    }
}

impl Example for ProfileFields {
    fn example() -> Self {
        let phone = ProfileField {
            name: "phone".to_owned(),
            field_type: ProfileFieldType::Text,
            required: false,
            writable: Some(Writer::Owner),
            min: None,
            max: Some(Bound(30.0)),
            pattern: None,
            values: None,
        };
        let grade = ProfileField {
            name: "grade".to_owned(),
            field_type: ProfileFieldType::Integer,
            writable: Some(Writer::Admin),
            max: Some(Bound(9.0)),
            ..phone.clone()
        };
        Self { fields: vec![phone, grade] }
    }
}

impl Example for ProfileFieldsReport {
    fn example() -> Self {
        let lost = vec![LostField { name: "fax".to_owned(), accounts: 12 }];
        Self { fields: ProfileFields::example().fields, lost }
    }
}
