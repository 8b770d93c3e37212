//! `[services]`: services that appear here by themselves.

use ipnet::Ipv4Net;

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text::shorten;

pub(crate) const SECTION: Section = Section {
    name: "services",
    list: false,
    keys: &[
        Key::new(
            "import",
            Kind::Texts(glob, "addresses, with '*' and '?' for any characters", true),
        ),
        Key::new("domain", Kind::Text(domain, "a domain, or \"\" for no names")),
        Key::new("subnet", Kind::Text(subnet, "an IPv4 network from /8 to /30")),
    ],
    required: &[],
    whole: schema::fits,
};

fn domain(text: &str, _: Option<&str>) -> Result<String, Problem> {
    let domain = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if domain.is_empty() && text.is_empty() {
        return Ok(domain);
    }
    let label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(fits)
    };
    if domain.len() <= MAX_DOMAIN && domain.split('.').all(label) {
        return Ok(domain);
    }
    let hint = "accepted: labels of a-z, 0-9 and '-' joined by dots, or \"\" for no names";
    Err(Problem::new(format!("{:?} is no domain", shorten(text)), hint))
}

fn subnet(text: &str, _: Option<&str>) -> Result<String, Problem> {
    let hint = "accepted: an IPv4 network from /8 to /30, as \"198.18.0.0/16\"";
    let none = || Problem::new(format!("{:?} is no IPv4 network", shorten(text)), hint);
    let net: Ipv4Net = text.parse().map_err(|_| none())?;
    if !(8..=30).contains(&net.prefix_len()) || net.addr().is_multicast() {
        return Err(Problem::new(format!("{net} can't hold services' addresses"), hint));
    }
    if net.trunc() != net {
        let hint = format!("write {:?}", net.trunc().to_string());
        return Err(Problem::new(format!("{net} has bits behind its prefix"), hint));
    }
    Ok(net.to_string())
}

/// The most characters of the domain, so that services' names before it still fit.
const MAX_DOMAIN: usize = 180;

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
