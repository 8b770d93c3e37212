//! `[tracing]`: where spans of requests go.

use std::net::Ipv6Addr;

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text::shorten;

pub(crate) const SECTION: Section = Section {
    name: "tracing",
    list: false,
    keys: &[Key::new("otlp", Kind::Text(otlp, OTLP)), Key::new("sample", Kind::Share)],
    required: &["otlp"],
    whole: schema::fits,
};

const OTLP: &str = "the base of an OTLP collector, as http://127.0.0.1:4318";
const OTLP_MAX: usize = 512;

fn otlp(text: &str, _: Option<&str>) -> Result<String, Problem> {
    if text.starts_with("https://") {
        let hint = "name a collector at this host by http://, which may pass spans on encrypted";
        return Err(Problem::new("spans are not sent over https", hint));
    }
    if text.len() <= OTLP_MAX && is_place(text) {
        return Ok(text.into());
    }
    let what = format!("{:?} is no place of a collector", shorten(text));
    Err(Problem::new(what, format!("accepted: {OTLP}")))
}

/// Whether it is `http://HOST[:PORT][/PATH]` without any more.
fn is_place(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://") else { return false };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.parse::<Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        }
    };
    let is_digits = |port: &str| port.bytes().all(|b| b.is_ascii_digit());
    let is_port =
        port.is_none_or(|port| is_digits(port) && port.parse::<u16>().is_ok_and(|n| n > 0));
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    is_host && is_port && path.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_collectors() {
        for good in ["http://127.0.0.1:4318", "http://[::1]:1", "http://otel", "http://a.b:80/c/d/"]
        {
            assert!(otlp(good, None).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "otel:4318",
            "http://",
            "http://:1",
            "http://a:",
            "http://a:0",
            "http://a:+1",
            "http://a:65536",
            "http://u@a",
            "http://a/?q",
            "http://a/ b",
            "http://[::",
            "http://[x]:1",
        ] {
            assert!(otlp(bad, None).is_err(), "{bad:?}");
        }
        let text = otlp("https://otel:4318", None).unwrap_err();
        assert_eq!(text.what, "spans are not sent over https");
    }
}
