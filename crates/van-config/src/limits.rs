//! `[limits]`: how much the daemon takes on.

use crate::schema::{self, Key, Kind, Section};

pub(crate) const SECTION: Section = Section {
    name: "limits",
    list: false,
    keys: &[
        Key::new("flows", Kind::Number(1, 1_000_000)),
        Key::new("flow_window_max", Kind::Size(64 << 10, 256 << 20)),
    ],
    required: &[],
    whole: schema::fits,
};
