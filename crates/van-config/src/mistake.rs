//! What is wrong with a configuration, where, and what would be right.

use std::fmt;

/// Where a mistake stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// In a file; line and column count from 1, the column in characters.
    File {
        /// The file's path as given.
        path: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
    },
    /// In a variable of the environment.
    Env {
        /// The variable's name.
        name: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{path}:{line}:{column}"),
            Self::Env { name } => write!(f, "environment {name}"),
        }
    }
}

/// What is wrong with one value, apart from where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) what: String,
    pub(crate) hint: String,
}

impl Problem {
    pub(crate) fn new(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { what: what.into(), hint: hint.into() }
    }

    pub(crate) fn plain(what: impl fmt::Display) -> Self {
        Self::new(what.to_string(), "")
    }
}

/// One mistake; shown as `FILE:LINE:COLUMN: KEY: what; hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub place: Place,
    /// For instance `site.name` or `connector.postgres.target`; empty where no key is concerned.
    pub key: String,
    /// What is wrong, lower case, no full stop.
    pub what: String,
    /// The accepted values or what to do; may be empty.
    pub hint: String,
}

impl Mistake {
    pub(crate) fn new(place: Place, key: &str, problem: Problem) -> Self {
        Self { place, key: key.into(), what: problem.what, hint: problem.hint }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        // A variable's name says the key already.
        if !self.key.is_empty() && !matches!(self.place, Place::Env { .. }) {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)?;
        if !self.hint.is_empty() {
            write!(f, "; {}", self.hint)?;
        }
        Ok(())
    }
}

/// Everything that is wrong with a configuration: one line each, in the order of the files and
/// lines, the environment last. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Mistakes {
    list: Vec<Mistake>,
    left_off: usize,
}

impl Mistakes {
    /// So many are kept: a file of rubbish must not become a far longer answer.
    const LIMIT: usize = 1000;

    pub(crate) fn new(mut list: Vec<Mistake>) -> Self {
        let left_off = list.len().saturating_sub(Self::LIMIT);
        list.truncate(Self::LIMIT);
        Self { list, left_off }
    }

    /// The mistakes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.list.iter()
    }

    /// How many there are, those left off included.
    pub fn count(&self) -> usize {
        self.list.len() + self.left_off
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.list.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{mistake}")?;
        }
        if self.left_off > 0 {
            write!(f, "\n{} more mistakes are not shown", self.left_off)?;
        }
        Ok(())
    }
}
