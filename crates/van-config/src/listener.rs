//! `[[listener]]`: a service of the network offered here at a fixed place.

use std::collections::BTreeMap;

use figment::value::{Dict, Value};
use van_model::{AddressChoice, Bind, ListenerSpec, Strategy, parse_duration};

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text::{self, parsed};
use crate::tls;

pub(crate) const SECTION: Section = Section {
    name: "listener",
    list: true,
    keys: &[
        Key::new("name", Kind::Text(text::name, text::NAME)),
        Key::new("address", Kind::Text(text::address, text::ADDRESS)),
        Key::new("addresses", Kind::Texts(choice, "addresses, each may end with =WEIGHT", false)),
        Key::new("strategy", Kind::Text(strategy, Strategy::ACCEPTED)),
        Key::new("protocol", Kind::Text(text::protocol, text::PROTOCOL)),
        Key::new("udp_idle", Kind::Text(idle, IDLE)),
        Key::new("routes", Kind::Routes),
        Key::new("tls", tls::LISTENER),
        Key::new("bind", Kind::Text(bind, "host:port, unix:/path")),
    ],
    required: &["name", "bind"],
    whole: schema::fits,
};

fn bind(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<Bind>(text)
}

const IDLE: &str = "a duration from 1s to 1h, as \"60s\"";

/// Gives a duration in milliseconds.
fn idle(text: &str, _: Option<&str>) -> Result<String, Problem> {
    let (least, most) = ListenerSpec::UDP_IDLE;
    let ms = parse_duration(text).ok().and_then(|time| u64::try_from(time.as_millis()).ok());
    let fit = ms.filter(|ms| (least..=most).contains(ms)).map(|ms| ms.to_string());
    fit.ok_or_else(|| Problem::new(format!("{text:?} can't be used"), format!("accepted: {IDLE}")))
}

/// Puts the key about idle sessions where the model has it.
pub(crate) fn gather_idle(entry: &mut Dict) {
    if let Some(Value::String(_, ms)) = entry.remove("udp_idle") {
        entry.insert("udp_idle_ms".into(), ms.parse::<u64>().unwrap_or_default().into());
    }
}

fn choice(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<AddressChoice>(text)
}

fn strategy(text: &str, _: Option<&str>) -> Result<String, Problem> {
    parsed::<Strategy>(text)
}

/// The places that are taken, each with who takes it.
#[derive(Default)]
pub(crate) struct Taken {
    exact: BTreeMap<String, String>,
    /// By port and whether it is IPv4: who holds all addresses, and who holds any.
    all: BTreeMap<(u16, bool), String>,
    any: BTreeMap<(u16, bool), String>,
}

impl Taken {
    /// Takes a place, or tells who has it already: the same place, or one of the two all addresses
    /// of a family.
    pub(crate) fn take(&mut self, who: &str, bind: &Bind) -> Option<String> {
        let (text, ip) = match bind {
            Bind::Tcp(tcp) => (bind.to_string().to_ascii_lowercase(), tcp.socket_addr()),
            Bind::Unix(_) => (bind.to_string(), None),
        };
        let ip = ip.map(|addr| (addr.ip(), (addr.port(), addr.is_ipv4())));
        let holder = self.exact.get(&text);
        let holder = holder.or_else(|| {
            let (ip, place) = ip?;
            self.all.get(&place).or_else(|| self.any.get(&place).filter(|_| ip.is_unspecified()))
        });
        if let Some(holder) = holder {
            return Some(holder.clone());
        }
        if let Some((ip, place)) = ip {
            if ip.is_unspecified() {
                self.all.insert(place, who.into());
            }
            self.any.entry(place).or_insert_with(|| who.into());
        }
        self.exact.insert(text, who.into());
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collide(one: &str, other: &str) -> bool {
        let mut taken = Taken::default();
        assert_eq!(taken.take("one", &one.parse().unwrap()), None);
        taken.take("other", &other.parse().unwrap()).is_some_and(|holder| holder == "one")
    }

    #[test]
    fn places_that_collide() {
        assert!(collide("127.0.0.1:80", "127.0.0.1:80"));
        assert!(collide("0.0.0.0:80", "127.0.0.1:80"));
        assert!(collide("[::1]:80", "[::]:80"));
        assert!(collide("unix:/a", "unix:/a"));
        assert!(collide("localhost:80", "LOCALHOST:80"));
        assert!(!collide("127.0.0.1:80", "127.0.0.1:81"));
        assert!(!collide("127.0.0.1:80", "[::1]:80"));
        assert!(!collide("127.0.0.1:80", "127.0.0.2:80"));
        assert!(!collide("unix:/a", "unix:/A"));
        assert!(!collide("unix:/a", "127.0.0.2:80"));
    }
}
