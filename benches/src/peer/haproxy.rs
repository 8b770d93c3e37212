//! haproxy on both ends, with and without TLS between them.

use std::fmt::Write as _;

use anyhow::Result;

use super::program;
use crate::certificate::NAME;
use crate::layout::{Layout, Setup};
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
        writeln!(ingress, "listen {name}\n  bind {entry}\n  server next {link}{dial}")?;
        writeln!(egress, "listen {name}\n  bind {link}{accept}\n  server target {target}")?;
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
