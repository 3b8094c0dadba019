//! Relationship tuples as text, and the parts their fields are made of.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::error::TupleError;

/// `object#relation@user`, perhaps under a condition or for a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TupleKey {
    /// `type:id`, `type:*` or `type:id#relation`.
    pub user: String,
    /// A relation of the object's type.
    pub relation: String,
    /// `type:id`.
    pub object: String,
    /// The condition under which the tuple holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<TupleCondition>,
    /// When the tuple holds.
    #[serde(default, skip_serializing_if = "Validity::is_always")]
    pub validity: Validity,
}

/// From when until when a tuple holds, in microseconds since the Unix epoch.
///
/// Which time it is, is for the request to say; a request that says nothing is an error where such
/// a tuple is met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The tuple does not hold before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_micros: Option<i64>,
    /// The tuple does not hold from this on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_micros: Option<i64>,
}

impl Validity {
    /// True if the tuple holds at every time.
    pub fn is_always(&self) -> bool {
        *self == Self::default()
    }

    /// True if the tuple holds at this time.
    pub fn holds_at(&self, micros: i64) -> bool {
        self.not_before_micros.is_none_or(|from| from <= micros) && !self.is_expired_at(micros)
    }

    /// True if the tuple will not hold again.
    pub fn is_expired_at(&self, micros: i64) -> bool {
        self.expires_at_micros.is_some_and(|until| until <= micros)
    }

    /// True if there is no time at which the tuple holds.
    pub(crate) fn is_never(&self) -> bool {
        let Self { not_before_micros, expires_at_micros } = *self;
        not_before_micros.zip(expires_at_micros).is_some_and(|(from, until)| from >= until)
    }
}

/// What a tuple depends on beside being there; most tuples depend on nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard<'a> {
    pub(crate) condition: Option<&'a TupleCondition>,
    pub(crate) validity: Validity,
}

impl<'a> Guard<'a> {
    /// The guard of a tuple, if it has one.
    pub(crate) fn of(tuple: &'a TupleKey) -> Option<Self> {
        let guard = Self { condition: tuple.condition.as_ref(), validity: tuple.validity };
        (guard.condition.is_some() || !guard.validity.is_always()).then_some(guard)
    }
}

/// The condition a tuple names, and the context stored with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TupleCondition {
    /// The condition's name in the model.
    pub name: String,
    /// Values for some of its parameters.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Json>,
}

impl TupleKey {
    /// A tuple without a condition.
    pub fn new(
        user: impl Into<String>,
        relation: impl Into<String>,
        object: impl Into<String>,
    ) -> Self {
        Self {
            user: user.into(),
            relation: relation.into(),
            object: object.into(),
            condition: None,
            validity: Validity::default(),
        }
    }
}

impl fmt::Display for TupleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}@{}", self.object, self.relation, self.user)?;
        match &self.condition {
            Some(condition) => write!(f, " (condition {})", condition.name),
            None => Ok(()),
        }
    }
}

/// `type:id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ObjectRef<'a> {
    pub(crate) type_name: &'a str,
    pub(crate) id: &'a str,
}

/// The three kinds of user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserRef<'a> {
    Object(ObjectRef<'a>),
    /// `type:*`
    Wildcard {
        type_name: &'a str,
    },
    /// `type:id#relation`
    Userset {
        object: ObjectRef<'a>,
        relation: &'a str,
    },
}

impl<'a> UserRef<'a> {
    pub(crate) fn type_name(&self) -> &'a str {
        match self {
            Self::Object(object) | Self::Userset { object, .. } => object.type_name,
            Self::Wildcard { type_name } => type_name,
        }
    }
}

/// Splits a user into its parts.
pub(crate) fn parse_user(user: &str) -> Result<UserRef<'_>, TupleError> {
    // Nothing with a `#` in it is an object.
    match split_object(user) {
        Some(ObjectRef { type_name, id: "*" }) => return Ok(UserRef::Wildcard { type_name }),
        Some(object) => return Ok(UserRef::Object(object)),
        None => {}
    }
    let (object, relation) = match user.split_once('#') {
        Some((object, relation)) => (object, Some(relation)),
        None => (user, None),
    };
    let Some(object) = split_object(object) else {
        let is_plain_id = relation.is_none() && !object.contains(':') && is_clean(object);
        return Err(if is_plain_id && !object.is_empty() {
            TupleError::UntypedUser
        } else {
            TupleError::MalformedUser
        });
    };
    match relation {
        Some(relation) if is_relation(relation) && !object.id.contains('*') => {
            Ok(UserRef::Userset { object, relation })
        }
        _ => Err(TupleError::MalformedUser),
    }
}

/// Splits an object into its parts; a wildcard is no object.
pub(crate) fn parse_object(object: &str) -> Result<ObjectRef<'_>, TupleError> {
    match split_object(object) {
        None => Err(TupleError::MalformedObject),
        Some(object) if object.id == "*" => Err(TupleError::WildcardObject),
        Some(object) => Ok(object),
    }
}

/// True if the text may name a relation.
pub(crate) fn is_relation(relation: &str) -> bool {
    !relation.is_empty() && is_clean(relation) && !relation.contains([':', '@'])
}

fn split_object(object: &str) -> Option<ObjectRef<'_>> {
    // Types have short names, for which this is quicker than a search made for long texts.
    let colon = object.bytes().position(|byte| byte == b':')?;
    let (type_name, id) = (object.get(..colon)?, object.get(colon + 1..)?);
    let is_valid = !type_name.is_empty()
        && !id.is_empty()
        && !id.bytes().fold(false, |any, byte| any | (byte == b':'))
        && is_clean(type_name)
        && is_clean(id);
    is_valid.then_some(ObjectRef { type_name, id })
}

fn is_clean(text: &str) -> bool {
    // Almost all names are printable ASCII. All bytes are looked at, which is done many at a time.
    let is_plain = |byte: u8| byte.is_ascii_graphic() & (byte != b'#');
    if text.bytes().fold(true, |all, byte| all & is_plain(byte)) {
        return true;
    }
    !text.contains(|c: char| c == '#' || c == ' ' || c.is_control())
}
