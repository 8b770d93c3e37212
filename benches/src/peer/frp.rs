//! frp: the server beside the clients, its client beside the back-end.

use std::fmt::Write as _;

use anyhow::Result;

use super::program;
use crate::certificate::{Leaf, NAME};
use crate::layout::{Layout, Setup};
use crate::process::Launch;

/// Writes both configurations; TLS both ways, everything multiplexed over one connection.
pub(super) fn prepare(layout: &Layout<'_>) -> Result<Setup> {
    let certificates = layout.certificates;
    let (ip, port) = (layout.uplink.ip(), layout.uplink.port());
    let tls = |leaf: &Leaf| {
        format!(
            "auth.token = \"van-bench\"\nlog.level = \"warn\"\n\
             transport.tls.certFile = \"{}\"\ntransport.tls.keyFile = \"{}\"\n\
             transport.tls.trustedCaFile = \"{}\"\n",
            leaf.certificate.display(),
            leaf.key.display(),
            certificates.authority.display(),
        )
    };
    let server = format!(
        "bindAddr = \"{ip}\"\nbindPort = {port}\nproxyBindAddr = \"{ip}\"\n\
         transport.tls.force = true\n{}",
        tls(&certificates.server),
    );
    let mut client = format!(
        "serverAddr = \"{ip}\"\nserverPort = {port}\nloginFailExit = false\n\
         transport.tls.enable = true\ntransport.tls.serverName = \"{NAME}\"\n\
         transport.tcpMux = true\n{}",
        tls(&certificates.client),
    );
    for route in &layout.routes {
        writeln!(
            client,
            "[[proxies]]\nname = \"{}\"\ntype = \"tcp\"\nlocalIP = \"{}\"\nlocalPort = {}\n\
             remotePort = {}",
            route.name,
            route.target.ip(),
            route.target.port(),
            route.entry.port(),
        )?;
    }
    let server = layout.write("frps.toml", &server)?;
    let client = layout.write("frpc.toml", &client)?;
    Ok(Setup {
        ingress: vec![Launch::new("ingress", program(layout, "frps")?, ["-c", &server])],
        between: None,
        transit: None,
        egress: vec![Launch::new("egress", program(layout, "frpc")?, ["-c", &client])],
    })
}
