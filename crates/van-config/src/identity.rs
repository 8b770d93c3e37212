//! `[identity]`: an intermediate authority of the organisation's own.

use crate::schema::{self, Key, Kind, Section};
use crate::text;

pub(crate) const SECTION: Section = Section {
    name: "identity",
    list: false,
    keys: &[
        Key::new("ca", Kind::Text(text::path, text::PATH)),
        Key::new("key", Kind::Text(text::path, text::PATH)),
        Key::new("bundle", Kind::Text(text::path, text::PATH)),
    ],
    required: &["ca", "key", "bundle"],
    whole: schema::fits,
};
