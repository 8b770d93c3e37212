//! `[metrics]`: where Prometheus asks.

use std::net::SocketAddr;

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text::shorten;

pub(crate) const SECTION: Section = Section {
    name: "metrics",
    list: false,
    keys: &[Key::new("listen", Kind::Text(listen, "an IP address with a port"))],
    required: &["listen"],
    whole: schema::fits,
};

fn listen(text: &str, _: Option<&str>) -> Result<String, Problem> {
    let place: Option<SocketAddr> = text.parse().ok();
    place.filter(|place| place.port() != 0).map(|place| place.to_string()).ok_or_else(|| {
        let what = format!("{:?} is no IP address with a port", shorten(text));
        Problem::new(what, "write for instance \"127.0.0.1:8265\"")
    })
}
