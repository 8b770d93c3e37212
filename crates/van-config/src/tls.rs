//! `tls` of a listener and of a connector.

use crate::link;
use crate::mistake::Problem;
use crate::schema::{Key, Kind};
use crate::text::shorten;

const FILE: &str = "the path of a PEM file, or credential:NAME";

/// Keys of a listener's `tls`.
pub(crate) const LISTENER: Kind = Kind::Table(
    &[
        Key::new("certificate", Kind::Text(link::file, FILE)),
        Key::new("key", Kind::Text(link::file, FILE)),
        Key::new("client_ca", Kind::Text(link::file, FILE)),
    ],
    &["certificate", "key"],
);

/// Keys of a connector's `tls`.
pub(crate) const CONNECTOR: Kind = Kind::Table(
    &[
        Key::new("server_name", Kind::Text(server_name, "a DNS name or an IP address")),
        Key::new("ca", Kind::Text(link::file, FILE)),
        Key::new("certificate", Kind::Text(link::file, FILE)),
        Key::new("key", Kind::Text(link::file, FILE)),
    ],
    &[],
);

fn server_name(text: &str, _: Option<&str>) -> Result<String, Problem> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    if (1..=253).contains(&text.len()) && text.bytes().all(fits) {
        return Ok(text.to_ascii_lowercase());
    }
    let hint = "accepted: a DNS name or an IP address, as \"db.example.org\"";
    Err(Problem::new(format!("{:?} is no server name", shorten(text)), hint))
}
