//! `[console]`: pages for a browser.

use crate::schema::{self, Key, Kind, Section};

pub(crate) const SECTION: Section = Section {
    name: "console",
    list: false,
    keys: &[Key::new("listen", Kind::Later), Key::new("auth", Kind::Later)],
    required: &[],
    whole: schema::fits,
};
