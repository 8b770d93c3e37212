//! `[site]`: who this site is.

use van_model::Mode;

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text::{self, parsed};

pub(crate) const SECTION: Section = Section {
    name: "site",
    list: false,
    keys: &[
        Key::new("name", Kind::Text(text::name, text::NAME)),
        Key::new("mode", Kind::Text(mode, Mode::ACCEPTED)),
        Key::new("labels", Kind::Labels),
    ],
    required: &[],
    whole: schema::fits,
};

fn mode(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<Mode>(text)
}

/// The most labels that a site may have.
pub(crate) const LABELS: usize = 64;
const LABEL_KEY: usize = 63;
const LABEL_VALUE: usize = 253;

fn is_printable(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
}

/// Checks one label's key and value.
pub(crate) fn label(key: &str, value: &str) -> Result<(), Problem> {
    let key_is_good =
        (1..=LABEL_KEY).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    if !key_is_good {
        return Err(Problem::new(
            "a label's key is out of range",
            format!("accepted: 1 to {LABEL_KEY} printable ASCII characters without a space"),
        ));
    }
    if value.len() > LABEL_VALUE || !is_printable(value) {
        return Err(Problem::new(
            "a label's value is out of range",
            format!("accepted: at most {LABEL_VALUE} printable ASCII characters"),
        ));
    }
    Ok(())
}
