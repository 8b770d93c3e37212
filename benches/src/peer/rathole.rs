//! rathole: the server beside the clients, its client beside the back-end. Its TLS proves the
//! server alone; the client shows a shared token.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use super::program;
use crate::certificate::NAME;
use crate::host::Host;
use crate::layout::{Layout, Setup};
use crate::process::{self, Launch};

const LIMIT: Duration = Duration::from_secs(10);

/// Writes both configurations for TLS.
pub(super) fn prepare_tls(layout: &Layout<'_>) -> Result<Setup> {
    let server = &layout.certificates.server;
    let identity = layout.dir.join("identity.p12").display().to_string();
    // The old key derivation is the one that every TLS library's PKCS #12 reader knows.
    let script = format!(
        "pkcs12 -export -inkey {} -in {} -certfile {} -out {identity} -passout pass:bench \
         -keypbe PBE-SHA1-3DES -certpbe PBE-SHA1-3DES -macalg sha1",
        server.key.display(),
        server.certificate.display(),
        layout.certificates.authority.display(),
    );
    let export = Launch::new("openssl", program(layout, "openssl")?, script.split_whitespace());
    process::run(&export, &Host::loopback(), &layout.dir, LIMIT)?;
    let root = layout.certificates.authority.display();
    configure(
        layout,
        &format!(
            "[server.transport]\ntype = \"tls\"\n[server.transport.tls]\n\
             pkcs12 = \"{identity}\"\npkcs12_password = \"bench\"\n"
        ),
        &format!(
            "[client.transport]\ntype = \"tls\"\n[client.transport.tls]\n\
             trusted_root = \"{root}\"\nhostname = \"{NAME}\"\n"
        ),
    )
}

/// Writes both configurations for the noise protocol.
pub(super) fn prepare_noise(layout: &Layout<'_>) -> Result<Setup> {
    let make = Launch::new("genkey", program(layout, "rathole")?, ["--genkey"]);
    let text = process::run(&make, &Host::loopback(), &layout.dir, LIMIT)?;
    let mut keys = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.ends_with(':'));
    let private = keys.next().context("rathole --genkey gave no private key")?;
    let public = keys.next().context("rathole --genkey gave no public key")?;
    configure(
        layout,
        &format!(
            "[server.transport]\ntype = \"noise\"\n[server.transport.noise]\n\
             local_private_key = \"{private}\"\n"
        ),
        &format!(
            "[client.transport]\ntype = \"noise\"\n[client.transport.noise]\n\
             remote_public_key = \"{public}\"\n"
        ),
    )
}

fn configure(layout: &Layout<'_>, accept: &str, dial: &str) -> Result<Setup> {
    let uplink = layout.uplink;
    let token = "default_token = \"van-bench\"\n";
    let mut server = format!("[server]\nbind_addr = \"{uplink}\"\n{token}{accept}");
    let mut client =
        format!("[client]\nremote_addr = \"{uplink}\"\n{token}retry_interval = 1\n{dial}");
    for route in &layout.routes {
        let (name, entry, target) = (route.name, route.entry, route.target);
        writeln!(server, "[server.services.{name}]\nbind_addr = \"{entry}\"\nnodelay = true")?;
        writeln!(client, "[client.services.{name}]\nlocal_addr = \"{target}\"\nnodelay = true")?;
    }
    let rathole = program(layout, "rathole")?;
    let server = layout.write("server.toml", &server)?;
    let client = layout.write("client.toml", &client)?;
    Ok(Setup {
        ingress: vec![Launch::new("ingress", &rathole, ["--server", &server])],
        between: None,
        transit: None,
        egress: vec![Launch::new("egress", &rathole, ["--client", &client])],
    })
}
