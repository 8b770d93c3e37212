//! The one table of known sections and keys.

use crate::mistake::Problem;
use crate::text::shorten;
use crate::{
    accept, api, connector, console, identity, limits, link, listener, log, metrics, podman,
    services, site, tracing,
};

/// A section as the files write it: `[site]` or `[[link]]`.
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// Whether it is a list of tables, told apart by their `name`.
    pub(crate) list: bool,
    pub(crate) keys: &'static [Key],
    /// Keys without which the section, once it is there, means nothing.
    pub(crate) required: &'static [&'static str],
    /// Judges which keys an entry has together: the key that is wrong, and how.
    pub(crate) whole: Whole,
}

/// Judges an entry by asking which keys it has.
pub(crate) type Whole = fn(has: &dyn Fn(&str) -> bool) -> Option<Wrong>;

/// A key that is wrong, and how.
pub(crate) type Wrong = (&'static str, Problem);

/// Keys that go together however many there are.
pub(crate) fn fits(_: &dyn Fn(&str) -> bool) -> Option<Wrong> {
    None
}

/// One key of a section.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

impl Key {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }
}

/// Checks a text and gives the form in which the model reads it.
///
/// The second argument is the folder against which relative paths are resolved; the environment
/// has none.
pub(crate) type Rule = fn(&str, Option<&str>) -> Result<String, Problem>;

/// What a key's value may be.
pub(crate) enum Kind {
    /// A string that follows a rule; the words say which are accepted.
    Text(Rule, &'static str),
    /// A list of strings; whether it may be empty.
    Texts(Rule, &'static str, bool),
    /// A whole number from the first to the second.
    Number(u64, u64),
    /// A number of bytes from the first to the second, as number or with a unit.
    Size(u64, u64),
    /// A number from 0 to 1.
    Share,
    /// `true` or `false`.
    Flag,
    /// A table of strings.
    Labels,
    /// A list of a listener's routes.
    Routes,
    /// A table with keys of its own, and which of them must be there.
    Table(&'static [Key], &'static [&'static str]),
    /// A key of the contract that this version can't follow.
    Later,
}

/// Every section that this version knows.
pub(crate) const SECTIONS: [&Section; 14] = [
    &site::SECTION,
    &accept::SECTION,
    &link::SECTION,
    &connector::SECTION,
    &listener::SECTION,
    &services::SECTION,
    &podman::SECTION,
    &identity::SECTION,
    &api::SECTION,
    &console::SECTION,
    &metrics::SECTION,
    &tracing::SECTION,
    &log::SECTION,
    &limits::SECTION,
];

pub(crate) fn section(name: &str) -> Option<&'static Section> {
    SECTIONS.into_iter().find(|section| section.name == name)
}

impl Section {
    pub(crate) fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The header that opens it.
    pub(crate) fn header(&self) -> String {
        if self.list { format!("[[{}]]", self.name) } else { format!("[{}]", self.name) }
    }

    pub(crate) fn unknown_key(&self, found: &str) -> Problem {
        let keys: Vec<&str> = self.keys.iter().map(|key| key.name).collect();
        unknown("key", found, &keys, &keys)
    }
}

/// The mistake of a section that nobody knows.
pub(crate) fn unknown_section(found: &str) -> Problem {
    let names = SECTIONS.map(|section| section.name);
    let headers = SECTIONS.map(Section::header);
    unknown("section", found, &names, &headers.each_ref().map(String::as_str))
}

/// "unknown WHAT", with the nearest known word where one is near.
pub(crate) fn unknown(what: &str, found: &str, known: &[&str], accepted: &[&str]) -> Problem {
    let accepted = format!("accepted: {}", accepted.join(", "));
    let hint = match nearest(found, known) {
        Some(near) => format!("did you mean {near:?}? {accepted}"),
        None => accepted,
    };
    Problem::new(format!("unknown {what} {:?}", shorten(found)), hint)
}

/// Words further off than this are no slip of the hand.
const NEAR: usize = 2;

fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let limit = NEAR.min(found.chars().count() / 2);
    // A word far longer than all known ones is near none, and costly to compare.
    let comparable = known.iter().filter(|word| found.len() <= word.len() + 4 * NEAR);
    comparable
        .map(|word| {
            (strsim::damerau_levenshtein(&found.to_lowercase(), &word.to_lowercase()), *word)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word() {
        let known = ["name", "address", "target", "bind"];
        assert_eq!(nearest("nmae", &known), Some("name"));
        assert_eq!(nearest("adress", &known), Some("address"));
        assert_eq!(nearest("Target", &known), Some("target"));
        assert_eq!(nearest("container", &known), None);
        assert_eq!(nearest("x", &known), None);
    }

    #[test]
    fn required_keys_are_known_and_names_single() {
        for section in SECTIONS {
            assert!(section.required.iter().all(|key| section.key(key).is_some()));
            assert_eq!(section.list, section.required.contains(&"name"), "{}", section.name);
            let mut names: Vec<_> = section.keys.iter().map(|key| key.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), section.keys.len(), "{}", section.name);
        }
    }
}
