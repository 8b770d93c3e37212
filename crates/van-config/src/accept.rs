//! `[accept]`: where this site accepts links.

use std::net::SocketAddr;

use van_model::HostPort;

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text::{parsed, shorten};

pub(crate) const SECTION: Section = Section {
    name: "accept",
    list: false,
    keys: &[
        Key::new("listen", Kind::Texts(listen, LISTEN, false)),
        Key::new("advertise", Kind::Texts(advertise, "a list of HOST:PORT", true)),
    ],
    required: &["listen"],
    whole: schema::fits,
};

const LISTEN: &str = "a list of IP addresses with port, as [\"[::]:8263\"]";

fn listen(text: &str, _: Option<&str>) -> Result<String, Problem> {
    text.parse::<SocketAddr>().map(|address| address.to_string()).map_err(|_| {
        Problem::new(
            format!("{:?} is no IP address with a port", shorten(text)),
            "write for instance \"[::]:8263\" (all addresses) or \"127.0.0.1:8263\"",
        )
    })
}

fn advertise(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<HostPort>(text)
}
