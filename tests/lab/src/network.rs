//! Segments and routers.

use std::sync::atomic::{AtomicU32, Ordering};

use van_testkit::{Ran, program};

/// A network segment: a bridge.
#[derive(Debug, Clone)]
pub struct Segment {
    bridge: String,
}

impl Segment {
    pub(crate) fn new(name: &str) -> Self {
        let bridge = format!("br-{name}");
        ip(&format!("link add {bridge} type bridge forward_delay 0"));
        ip(&format!("link set {bridge} up"));
        Self { bridge }
    }

    /// Gives a namespace a card on this segment; `address` is with the length of its prefix.
    pub(crate) fn plug(&self, space: &str, card: &str, address: &str, gateway: Option<&str>) {
        static PORTS: AtomicU32 = AtomicU32::new(0);
        let port = format!("port{}", PORTS.fetch_add(1, Ordering::Relaxed));
        ip(&format!("link add {port} type veth peer name {card} netns {space}"));
        ip(&format!("link set {port} master {} up", self.bridge));
        ip(&format!("-n {space} addr add {address} dev {card}"));
        ip(&format!("-n {space} link set {card} up"));
        if let Some(gateway) = gateway {
            ip(&format!("-n {space} route add default via {gateway}"));
        }
    }
}

/// A site's way out: a router with address translation that lets nothing in.
#[derive(Debug)]
pub struct Router {
    space: String,
}

impl Router {
    pub(crate) fn new(name: &str, out: (&Segment, &str), inner: (&Segment, &str)) -> Self {
        let space = namespace(name);
        out.0.plug(&space, "out", out.1, None);
        inner.0.plug(&space, "in", inner.1, None);
        let router = Self { space };
        router.firewall(
            "table inet edge {
                chain forward {
                    type filter hook forward priority 0; policy drop;
                    ct state established,related accept
                    iifname in accept
                }
                chain leaving {
                    type nat hook postrouting priority 100;
                    oifname out masquerade
                }
            }",
        );
        router
    }

    fn firewall(&self, rules: &str) {
        let mut nft = program("ip", "iproute2");
        nft.args(["netns", "exec", &self.space, "nft", "-f", "-"]);
        let _done = Ran::of(nft, rules.as_bytes()).ok();
    }

    /// Swallows everything that passes, without a word, or lets it pass again.
    ///
    /// # Panics
    /// When the kernel refuses it.
    #[track_caller]
    pub fn silence(&self, on: bool) {
        self.firewall(
            "table inet silence { chain all { type filter hook forward priority -10; } }",
        );
        self.firewall("flush chain inet silence all");
        if on {
            self.firewall("add rule inet silence all drop");
        }
    }
}

/// Makes a network namespace with a loopback device.
pub(crate) fn namespace(name: &str) -> String {
    ip(&format!("netns add {name}"));
    ip(&format!("-n {name} link set lo up"));
    // The machine's own default may be one that hides losses.
    let mut sysctl = program("ip", "iproute2");
    sysctl.args(["netns", "exec", name, "sysctl", "-qw"]);
    sysctl.args(["net.ipv4.tcp_congestion_control=reno", "net.ipv4.ip_forward=1"]);
    let _done = Ran::of(sysctl, b"").ok();
    name.to_owned()
}

/// Runs `ip`; the line is split at white space.
pub(crate) fn ip(line: &str) {
    let mut command = program("ip", "iproute2");
    command.args(line.split_whitespace());
    let ran = Ran::of(command, b"");
    assert!(ran.status == 0, "ip {line} failed: {}", ran.stderr);
}
