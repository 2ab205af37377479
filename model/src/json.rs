//! JSON values: as their readers see them, and as they are kept where one field nests others.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value as its reader sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'x> {
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'x str),
    List(&'x [Json<'x>]),
    Object(&'x [(Cow<'x, str>, Json<'x>)]),
}

/// A nested value, or text that had escapes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl Json<'_> {
    pub(crate) fn value(&self) -> Value<'_> {
        match self {
            Json::Null => Value::Null,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Int(n) => Value::Int(*n),
            Json::Float(x) => Value::Float(*x),
            Json::Text(text) => Value::Text(text),
            Json::List(items) => Value::List(items),
            Json::Object(pairs) => Value::Object(pairs),
        }
    }
}

impl<'a> Deserialize<'a> for Json<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

pub(crate) struct JsonVisitor;

impl<'a> Visitor<'a> for JsonVisitor {
    type Value = Json<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'a>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json<'a>, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Json<'a>, E> {
        Ok(Json::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Json<'a>, E> {
        Ok(i64::try_from(n).map_or(Json::Float(n as f64), Json::Int))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Json<'a>, E> {
        Ok(Json::Float(x))
    }

    fn visit_borrowed_str<E>(self, text: &'a str) -> Result<Json<'a>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'a>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<S: SeqAccess<'a>>(self, mut items: S) -> Result<Json<'a>, S::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<M: MapAccess<'a>>(self, mut map: M) -> Result<Json<'a>, M::Error> {
        let mut pairs = Vec::new();
        while let Some((Json::Text(name), value)) = map.next_entry()? {
            pairs.push((name, value));
        }
        Ok(Json::Object(pairs))
    }
}
