//! haproxy on both ends, with and without TLS between them.

use std::fmt::Write as _;

use anyhow::Result;

use super::program;
use crate::certificate::NAME;
use crate::layout::{Carried, Layout, Setup};
use crate::process::Launch;

const HEAD: &str = "global
  maxconn 9000
  ssl-default-bind-options ssl-min-ver TLSv1.3
  ssl-default-server-options ssl-min-ver TLSv1.3
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
";

/// How requests are told apart, and their connections kept.
const HTTP: &str = "  mode http\n  http-reuse always\n";

/// Writes both configurations: a `listen` section for each service.
pub(super) fn prepare(layout: &Layout<'_>, tls: bool) -> Result<Setup> {
    let (mut ingress, mut egress) = (HEAD.to_owned(), HEAD.to_owned());
    let ca = layout.certificates.authority.display();
    let client = layout.certificates.client.both.display();
    let server = layout.certificates.server.both.display();
    let (dial, accept) = if tls {
        (
            format!(
                " ssl crt {client} ca-file {ca} verify required verifyhost {NAME} sni str({NAME})"
            ),
            format!(" ssl crt {server} ca-file {ca} verify required"),
        )
    } else {
        (String::new(), String::new())
    };
    for route in &layout.routes {
        let (name, entry, link, target) = (route.name, route.entry, route.link, route.target);
        let (mode, plain, coded) = match route.carried {
            Carried::Stream | Carried::Datagrams => ("", "", ""),
            Carried::Requests => (HTTP, "", ""),
            Carried::Multiplexed if tls => (HTTP, " proto h2", " alpn h2"),
            Carried::Multiplexed => (HTTP, " proto h2", " proto h2"),
        };
        let forwarded = if mode.is_empty() { "" } else { "  option forwardfor\n" };
        write!(ingress, "listen {name}\n{mode}{forwarded}  bind {entry}{plain}\n")?;
        writeln!(ingress, "  server next {link}{dial}{coded}")?;
        write!(egress, "listen {name}\n{mode}  bind {link}{accept}{coded}\n")?;
        writeln!(egress, "  server target {target}{plain}")?;
    }
    let haproxy = program(layout, "haproxy")?;
    let launch = |name: &str, text: &str| -> Result<Launch> {
        let file = layout.write(&format!("{name}.cfg"), text)?;
        Ok(Launch::new(name, &haproxy, ["-db", "-f", &file]))
    };
    Ok(Setup {
        ingress: vec![launch("ingress", &ingress)?],
        between: None,
        transit: None,
        egress: vec![launch("egress", &egress)?],
    })
}
