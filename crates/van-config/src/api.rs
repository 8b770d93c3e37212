//! `[api]`: the socket that vanctl talks to.

use van_model::Bind;

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text::shorten;

pub(crate) const SECTION: Section = Section {
    name: "api",
    list: false,
    keys: &[
        Key::new("socket", Kind::Text(socket, SOCKET)),
        Key::new("group", Kind::Text(group, GROUP)),
    ],
    required: &[],
    whole: schema::fits,
};

pub(crate) const SOCKET: &str = "an absolute path of at most 107 bytes";

pub(crate) fn socket(text: &str, _: Option<&str>) -> Result<String, Problem> {
    match format!("unix:{text}").parse::<Bind>() {
        Ok(Bind::Unix(_)) => Ok(text.into()),
        Ok(Bind::Tcp(_)) | Err(_) => Err(Problem::new(
            format!("{:?} can't be the path of a socket", shorten(text)),
            format!("accepted: {SOCKET}"),
        )),
    }
}

const GROUP: &str = "the name of a user group";
/// The longest name of a group or user that Linux tools make.
const GROUP_MAX: usize = 32;

/// Whether a group or user may be called so.
pub(crate) fn is_account(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    first && rest && text.len() <= GROUP_MAX
}

fn group(text: &str, _: Option<&str>) -> Result<String, Problem> {
    if is_account(text) {
        return Ok(text.into());
    }
    Err(Problem::new(
        format!("{:?} is no group name", shorten(text)),
        format!("accepted: {GROUP}, letters, digits, '_', '-' and '.', at most {GROUP_MAX}"),
    ))
}
