//! stunnel on both ends.

use std::fmt::Write as _;

use anyhow::Result;

use super::program;
use crate::certificate::NAME;
use crate::layout::{Layout, Setup};
use crate::process::Launch;

const HEAD: &str = "foreground = yes
pid =
debug = warning
sslVersionMin = TLSv1.3
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
";

/// Writes both configurations: a section for each service.
pub(super) fn prepare(layout: &Layout<'_>) -> Result<Setup> {
    let (mut ingress, mut egress) = (HEAD.to_owned(), HEAD.to_owned());
    let certificates = layout.certificates;
    let ca = certificates.authority.display();
    let client = certificates.client.both.display();
    let server = certificates.server.both.display();
    for route in &layout.routes {
        let (name, entry, link, target) = (route.name, route.entry, route.link, route.target);
        writeln!(
            ingress,
            "[{name}]\nclient = yes\naccept = {entry}\nconnect = {link}\ncert = {client}\n\
             CAfile = {ca}\nverifyChain = yes\ncheckHost = {NAME}"
        )?;
        writeln!(
            egress,
            "[{name}]\naccept = {link}\nconnect = {target}\ncert = {server}\nCAfile = {ca}\n\
             verifyChain = yes\nrequireCert = yes"
        )?;
    }
    let stunnel = program(layout, "stunnel")?;
    let launch = |name: &str, text: &str| -> Result<Launch> {
        Ok(Launch::new(name, &stunnel, [layout.write(&format!("{name}.conf"), text)?]))
    };
    Ok(Setup {
        ingress: vec![launch("ingress", &ingress)?],
        between: None,
        transit: None,
        egress: vec![launch("egress", &egress)?],
    })
}
