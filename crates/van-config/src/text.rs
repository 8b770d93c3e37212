//! Rules for texts that several sections share.

use std::path::Path;
use std::str::FromStr;

use van_model::{Address, Name, Protocol};

use crate::mistake::Problem;

/// The most characters of a found text that a mistake repeats.
const SHOWN: usize = 60;

/// A found text, cut so that a mistake stays one readable line.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}

/// Reads a text as a type of the model, which words its own errors.
pub(crate) fn parsed<T>(text: &str) -> Result<String, Problem>
where
    T: FromStr<Err: std::fmt::Display> + ToString,
{
    text.parse::<T>().map(|value| value.to_string()).map_err(Problem::plain)
}

pub(crate) const NAME: &str = "a-z, 0-9 and '-', at most 63 characters";

pub(crate) fn name(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<Name>(text)
}

pub(crate) const ADDRESS: &str = "labels of a-z, 0-9 and '-' joined by dots";

pub(crate) fn address(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<Address>(text)
}

pub(crate) const PROTOCOL: &str = "\"tcp\", \"http\", \"http2\", \"udp\"";

pub(crate) fn protocol(text: &str, _: Option<&str>) -> Result<String, Problem> {
    match text.parse::<Protocol>() {
        Ok(protocol) => Ok(protocol.to_string()),
        Err(_) => Err(Problem::new(
            format!("{:?} is no protocol", shorten(text)),
            format!("accepted: {PROTOCOL}"),
        )),
    }
}

pub(crate) const PATH: &str = "a path";

/// A path of a file; a relative one starts at the folder of the file that says so.
pub(crate) fn path(text: &str, folder: Option<&str>) -> Result<String, Problem> {
    if text.is_empty() || text.contains('\0') {
        return Err(Problem::new("a path can't be empty or have a NUL", "accepted: a path"));
    }
    match folder {
        _ if Path::new(text).is_absolute() => Ok(text.into()),
        Some("") => Ok(text.into()),
        Some("/") => Ok(format!("/{text}")),
        Some(folder) => Ok(format!("{folder}/{text}")),
        None => Err(Problem::new(
            format!("{:?} is a relative path", shorten(text)),
            "write an absolute path, in the environment there is no folder to start from",
        )),
    }
}
