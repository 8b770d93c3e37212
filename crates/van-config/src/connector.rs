//! `[[connector]]`: a local workload offered to the network.

use van_model::{Check, Target};

use crate::mistake::Problem;
use crate::schema::{Key, Kind, Section};
use crate::text::{self, parsed};

pub(crate) const SECTION: Section = Section {
    name: "connector",
    list: true,
    keys: &[
        Key::new("name", Kind::Text(text::name, text::NAME)),
        Key::new("address", Kind::Text(text::address, text::ADDRESS)),
        Key::new("protocol", Kind::Text(text::protocol, text::PROTOCOL)),
        Key::new("target", Kind::Text(target, "host:port, unix:/path")),
        Key::new("service_port", Kind::Number(1, 65535)),
        Key::new("check", Kind::Text(check, Check::ACCEPTED)),
        Key::new("proxy_protocol", Kind::Flag),
        Key::new("priority", Kind::Number(0, 65535)),
        Key::new("weight", Kind::Number(1, 65535)),
    ],
    required: &["name", "target"],
};

fn target(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<Target>(text)
}

fn check(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<Check>(text)
}
