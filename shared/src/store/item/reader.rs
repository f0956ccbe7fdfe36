use std::{fmt, str::FromStr};

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    attribute::{Attributes, PK, SK},
    key::{API_KEY_SK_PREFIX, APP_PK_PREFIX, INDEX_PK_PREFIX},
};
use crate::domain::AppId;

/// An unreadable item of the table. It names the item and the attribute, but never shows a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("corrupt item {item}: attribute {attribute} is {problem}")]
pub struct CorruptItem {
    /// The item's primary key, with the hash cut short.
    pub item: String,
    /// The app in the item's keys, if any.
    pub app: Option<AppId>,
    /// The attribute, with its path in a list.
    pub attribute: String,
    pub problem: String,
}

const KEYS_SEPARATOR: &str = " / ";

/// Takes attributes out of an item, or out of a map inside an item. Errors name the corrupt attribute.
pub struct Reader {
    item: String,
    /// The path of the map inside the item, with a trailing dot; empty for the item itself.
    path: String,
    attributes: Attributes,
}

impl Reader {
    pub fn new(attributes: Attributes) -> Self {
        /// Enough of an API key's hash to find its item.
        const SHOWN_OF_HASH: usize = 8;
        let shown = |key| match attributes.get(key) {
            Some(AttributeValue::S(value)) => value.as_str(),
            _ => "?",
        };
        let cut = |value: &str, prefix: &str| value.chars().take(prefix.len() + SHOWN_OF_HASH).collect::<String>();
        let pk =
            if shown(PK).starts_with(INDEX_PK_PREFIX) { cut(shown(PK), INDEX_PK_PREFIX) } else { shown(PK).to_owned() };
        let sk = cut(shown(SK), API_KEY_SK_PREFIX);
        Self { item: format!("{pk}{KEYS_SEPARATOR}{sk}"), path: String::new(), attributes }
    }

    pub fn corrupt(&self, attribute: &str, problem: impl fmt::Display) -> CorruptItem {
        let app = self.item.strip_prefix(APP_PK_PREFIX).and_then(|keys| keys.split_once(KEYS_SEPARATOR));
        CorruptItem {
            item: self.item.clone(),
            app: app.and_then(|(id, _)| id.parse().ok()),
            attribute: format!("{}{attribute}", self.path),
            problem: problem.to_string(),
        }
    }

    fn take(&mut self, attribute: &str) -> Result<AttributeValue, CorruptItem> {
        self.attributes.remove(attribute).ok_or_else(|| self.corrupt(attribute, "missing"))
    }

    pub fn text(&mut self, attribute: &str) -> Result<String, CorruptItem> {
        match self.take(attribute)? {
            AttributeValue::S(value) => Ok(value),
            _ => Err(self.corrupt(attribute, "not a string")),
        }
    }

    pub fn parse<T: FromStr<Err: fmt::Display>>(&mut self, attribute: &str) -> Result<T, CorruptItem> {
        self.text(attribute)?.parse().map_err(|error| self.corrupt(attribute, error))
    }

    pub fn has(&self, attribute: &str) -> bool {
        self.attributes.contains_key(attribute)
    }

    pub fn parse_optional<T: FromStr<Err: fmt::Display>>(&mut self, attribute: &str) -> Result<Option<T>, CorruptItem> {
        if self.has(attribute) { self.parse(attribute).map(Some) } else { Ok(None) }
    }

    /// Parses the rest of a key attribute after `prefix`.
    pub fn parse_key<T: FromStr<Err: fmt::Display>>(
        &mut self,
        attribute: &str,
        prefix: &str,
    ) -> Result<T, CorruptItem> {
        let value = self.text(attribute)?;
        let rest = value.strip_prefix(prefix).ok_or_else(|| self.corrupt(attribute, "of another kind"))?;
        rest.parse().map_err(|error| self.corrupt(attribute, error))
    }

    pub fn boolean(&mut self, attribute: &str) -> Result<bool, CorruptItem> {
        match self.take(attribute)? {
            AttributeValue::Bool(value) => Ok(value),
            _ => Err(self.corrupt(attribute, "not a boolean")),
        }
    }

    pub fn number<T: FromStr>(&mut self, attribute: &str) -> Result<T, CorruptItem> {
        match self.take(attribute)? {
            AttributeValue::N(value) => value.parse().map_err(|_| self.corrupt(attribute, "out of range")),
            _ => Err(self.corrupt(attribute, "not a number")),
        }
    }

    pub fn maps(&mut self, attribute: &str) -> Result<Vec<Self>, CorruptItem> {
        let mut maps = Vec::new();
        for (index, value) in self.list(attribute)?.into_iter().enumerate() {
            let path = format!("{}{attribute}[{index}]", self.path);
            let AttributeValue::M(attributes) = value else {
                return Err(self.corrupt(&path, "not a map"));
            };
            maps.push(Self { item: self.item.clone(), path: format!("{path}."), attributes });
        }
        Ok(maps)
    }

    pub fn texts(&mut self, attribute: &str) -> Result<Vec<String>, CorruptItem> {
        let texts = self.list(attribute)?.into_iter().map(|value| match value {
            AttributeValue::S(text) => Ok(text),
            _ => Err(self.corrupt(attribute, "not a list of strings")),
        });
        texts.collect()
    }

    fn list(&mut self, attribute: &str) -> Result<Vec<AttributeValue>, CorruptItem> {
        match self.take(attribute)? {
            AttributeValue::L(values) => Ok(values),
            _ => Err(self.corrupt(attribute, "not a list")),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Checks that the error names the attribute if an attribute is missing or has another type.
    pub fn check_each_attribute<T: fmt::Debug>(
        item: &Attributes,
        optional: &[&str],
        read: fn(Attributes) -> Result<T, CorruptItem>,
    ) {
        for attribute in item.keys() {
            let mut without = item.clone();
            without.remove(attribute);
            match read(without) {
                Err(error) => assert_eq!((&error.attribute, error.problem.as_str()), (attribute, "missing")),
                Ok(_) => assert!(optional.contains(&attribute.as_str()), "{attribute} may be missing"),
            }
            let mut with_null = item.clone();
            with_null.insert(attribute.clone(), AttributeValue::Null(true));
            match read(with_null) {
                Err(error) => assert_eq!(&error.attribute, attribute),
                Ok(_) => assert!(optional.contains(&attribute.as_str()), "{attribute} may be null"),
            }
        }
    }
}
