//! Where processes run: on the machine itself, or in a network namespace.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

use anyhow::{Result, bail};
use rand::Rng;

/// One end of the measurement: an address, and the namespace that owns it.
#[derive(Clone, Debug)]
pub struct Host {
    /// The address that services of this host listen on.
    pub ip: IpAddr,
    /// The network namespace, by the name that `ip netns` knows; `None`: the machine's own.
    pub namespace: Option<String>,
}

impl Host {
    /// Makes the machine itself, by its loopback address.
    pub fn loopback() -> Self {
        Self { ip: Ipv4Addr::LOCALHOST.into(), namespace: None }
    }

    /// Picks a port of this host that nothing listens on.
    ///
    /// # Errors
    /// Where a thousand tries found none.
    pub fn free_port(&self) -> Result<SocketAddr> {
        let mut given = GIVEN.lock().expect("no holder of this lock panics");
        for _ in 0..1000 {
            // Below the kernel's range for outgoing connections: those must not take it meanwhile.
            let port = rand::rng().random_range(12_000..32_000);
            let address = SocketAddr::new(self.ip, port);
            if given.contains(&port) {
                continue;
            }
            if self.namespace.is_none() && TcpListener::bind(address).is_err() {
                continue;
            }
            if given.len() > 4000 {
                given.clear();
            }
            given.push(port);
            return Ok(address);
        }
        bail!("picking a port failed: none free between 12000 and 32000 on {}", self.ip)
    }
}

/// Ports handed out lately: they may not be bound yet.
static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());

/// Both ends of a measurement.
#[derive(Clone, Debug)]
pub struct Place {
    /// Where clients and the ingress process run.
    pub ingress: Host,
    /// Where the egress process and the back-end run.
    pub egress: Host,
}

impl Place {
    /// Makes the place where everything shares one machine.
    pub fn loopback() -> Self {
        Self { ingress: Host::loopback(), egress: Host::loopback() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_differ_and_can_be_bound() {
        let host = Host::loopback();
        let ports: Vec<_> = (0..50).map(|_| host.free_port().unwrap()).collect();
        let mut unique = ports.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), ports.len());
        TcpListener::bind(ports[0]).unwrap();
    }
}
