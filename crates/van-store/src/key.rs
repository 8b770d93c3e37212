//! The name of a document, safe to be part of a path.

use crate::error::StoreError;

/// A checked name: `[a-z0-9-]{1,64}`, so never a path of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key<'a>(&'a str);

impl<'a> Key<'a> {
    const MAX: usize = 64;

    pub(crate) fn new(name: &'a str) -> Result<Self, StoreError> {
        let plain = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if plain && (1..=Self::MAX).contains(&name.len()) {
            Ok(Self(name))
        } else {
            Err(StoreError::Name { name: name.chars().take(Self::MAX).collect() })
        }
    }

    pub(crate) fn as_str(self) -> &'a str {
        self.0
    }

    /// The document's file.
    pub(crate) fn file(self) -> String {
        format!("{}.json", self.0)
    }

    /// The second copy's file, where there is one. No other name has this file: names have no dot.
    pub(crate) fn backup(self) -> String {
        format!("{}.backup.json", self.0)
    }

    /// The name whose document this file is.
    pub(crate) fn of_file(file: &'a str) -> Option<Self> {
        Self::new(file.strip_suffix(".json")?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_a_path() {
        for good in ["identity", "a", "link-1", &"x".repeat(64)] {
            assert_eq!(Key::new(good).unwrap().file(), format!("{good}.json"));
        }
        for bad in ["", ".", "..", "../x", "/etc/x", "a/b", "a.b", "A", "a\0", "é", &"x".repeat(65)]
        {
            assert!(matches!(Key::new(bad), Err(StoreError::Name { .. })), "{bad:?}");
        }
        assert_eq!(Key::of_file("peers.json"), Key::new("peers").ok());
        assert_eq!(Key::of_file("peers.backup.json"), None);
    }
}
