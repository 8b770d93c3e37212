//! `[services]`: services that appear here by themselves.

use crate::mistake::Problem;
use crate::schema::{Key, Kind, Section};
use crate::text::shorten;

pub(crate) const SECTION: Section = Section {
    name: "services",
    list: false,
    keys: &[
        Key::new(
            "import",
            Kind::Texts(glob, "addresses, with '*' and '?' for any characters", true),
        ),
        Key::new("domain", Kind::Later),
        Key::new("subnet", Kind::Later),
    ],
    required: &[],
};

/// The most characters of a glob: as many as an address with its port has.
const MAX: usize = 259;

fn glob(text: &str, _: Option<&str>) -> Result<String, Problem> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:*?".contains(&b);
    if !text.is_empty() && text.len() <= MAX && text.bytes().all(fits) {
        return Ok(text.into());
    }
    let hint = "accepted: a-z, 0-9, '-', '.', ':port', and '*' and '?' for any characters";
    Err(Problem::new(format!("{:?} fits no address", shorten(text)), hint))
}
