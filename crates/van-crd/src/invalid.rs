//! What is wrong with an object.

use std::fmt::Display;

/// A field of an object that can't be used, and why with what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct Invalid {
    /// The field's path, as `spec.port`.
    pub field: String,
    /// Why, as a sentence.
    pub why: String,
}

impl Invalid {
    /// A mistake in this field.
    pub fn new(field: impl Into<String>, why: impl Display) -> Self {
        Self { field: field.into(), why: why.to_string() }
    }
}

/// Reads a text of a field, where it has one.
pub(crate) fn parse<T>(field: &str, text: Option<&str>) -> Result<Option<T>, Invalid>
where
    T: std::str::FromStr,
    T::Err: Display,
{
    text.map(str::parse).transpose().map_err(|why| Invalid::new(field, why))
}

/// The least and the most of a number that a cluster stores as 64 bits.
pub(crate) fn in_range<T: TryFrom<i64>>(
    field: &str,
    number: i64,
    range: &str,
) -> Result<T, Invalid> {
    T::try_from(number).map_err(|_| Invalid::new(field, format!("{number} is not {range}")))
}
