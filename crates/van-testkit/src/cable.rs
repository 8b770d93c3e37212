//! What joins two hosts.

use std::net::Ipv4Addr;

use crate::namespace::Host;
use crate::wire::Wire;

/// A cable between two hosts, each of which has an address on it.
#[derive(Debug)]
pub struct Cable {
    device: String,
    ends: [Host; 2],
    addresses: [Ipv4Addr; 2],
    /// Carries the frames where the kernel doesn't.
    _wire: Option<Wire>,
}

impl Cable {
    /// Gives both ends of a cable their addresses; the devices are there.
    #[track_caller]
    pub(crate) fn plug(number: u8, ends: [&Host; 2], wire: Option<Wire>) -> Self {
        let addresses = [1, 2].map(|last| Ipv4Addr::new(10, 82, number, last));
        let device = device(number);
        for (host, address) in ends.into_iter().zip(addresses) {
            host.ip(&format!("addr add {address}/24 dev {device}\nlink set {device} up"));
            host.add_address(address);
        }
        Self { device, ends: ends.map(Host::clone), addresses, _wire: wire }
    }

    /// The network device at both ends.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The address of one of its ends.
    ///
    /// # Panics
    /// When the host has no end of it.
    #[track_caller]
    pub fn address(&self, host: &Host) -> Ipv4Addr {
        self.addresses[self.end(host)]
    }

    /// Loses everything on its way to `host` and tells nobody; what `host` sends arrives.
    ///
    /// # Panics
    /// When the host has no end of it, or it is silent already.
    #[track_caller]
    pub fn silence_towards(&self, host: &Host) {
        self.ends[self.end(host)].firewall(&self.element("add"));
    }

    /// Loses everything both ways and tells nobody.
    ///
    /// # Panics
    /// When it is silent already.
    #[track_caller]
    pub fn silence(&self) {
        for host in &self.ends {
            host.firewall(&self.element("add"));
        }
    }

    /// Carries again what is for `host`.
    ///
    /// # Panics
    /// When it was not silent.
    #[track_caller]
    pub fn heal_towards(&self, host: &Host) {
        self.ends[self.end(host)].firewall(&self.element("delete"));
    }

    /// Sets the longest packet of both ends, in bytes.
    ///
    /// # Panics
    /// When the kernel refuses it.
    #[track_caller]
    pub fn set_mtu(&self, bytes: u16) {
        for host in &self.ends {
            host.ip(&format!("link set {} mtu {bytes}", self.device));
        }
    }

    fn element(&self, verb: &str) -> String {
        format!("{verb} element inet lab silent {{ \"{}\" }}", self.device)
    }

    fn end(&self, host: &Host) -> usize {
        let end = self.ends.iter().position(|end| end.namespace() == host.namespace());
        end.unwrap_or_else(|| panic!("{} has no end of {}", host.name(), self.device))
    }
}

/// The name of the devices of a cable.
pub(crate) fn device(number: u8) -> String {
    format!("c{number}")
}
