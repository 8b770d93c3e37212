//! `[services]`: services that appear here by themselves; this version can only leave it off.

use crate::schema::{Key, Kind, Section};

pub(crate) const SECTION: Section = Section {
    name: "services",
    list: false,
    keys: &[
        Key::new("import", Kind::EmptyList),
        Key::new("domain", Kind::Later),
        Key::new("subnet", Kind::Later),
    ],
    required: &[],
};
