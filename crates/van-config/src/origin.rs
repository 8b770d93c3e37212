//! Where each value of the effective configuration came from.

use std::collections::BTreeMap;
use std::fmt;

use crate::mistake::Place;

/// Where a value came from; shown as `default`, `FILE:LINE` or the variable's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// Nobody said otherwise.
    #[default]
    Default,
    /// A line of a file.
    File {
        /// The file's path as given.
        path: String,
        /// From 1.
        line: usize,
    },
    /// A variable of the environment.
    Env {
        /// The variable's name.
        name: String,
    },
}

impl Origin {
    /// The file, where it is one.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Default | Self::Env { .. } => None,
        }
    }
}

impl From<&Place> for Origin {
    fn from(place: &Place) -> Self {
        match place {
            Place::File { path, line, .. } => Self::File { path: path.clone(), line: *line },
            Place::Env { name } => Self::Env { name: name.clone() },
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env { name } => f.write_str(name),
        }
    }
}

/// The origins of all values that are not defaults, by key (`site.name`,
/// `connector.postgres.target`, `site.labels.region`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(BTreeMap<String, Origin>);

impl Origins {
    pub(crate) fn insert(&mut self, key: String, origin: Origin) {
        self.0.insert(key, origin);
    }

    /// The origin of a key; a key that nobody set has the default one.
    pub fn get(&self, key: &str) -> &Origin {
        self.0.get(key).unwrap_or(&Origin::Default)
    }

    /// All keys that are set, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Origin)> {
        self.0.iter().map(|(key, origin)| (key.as_str(), origin))
    }
}
