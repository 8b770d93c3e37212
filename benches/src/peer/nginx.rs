//! nginx's stream proxy on both ends.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::program;
use crate::certificate::NAME;
use crate::layout::{Carried, Layout, Setup};
use crate::process::Launch;

/// Finds the stream module where the distribution ships it as a file of its own.
pub(super) fn module() -> Option<PathBuf> {
    ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules"]
        .iter()
        .map(|folder| PathBuf::from(folder).join("ngx_stream_module.so"))
        .find(|path| path.is_file())
}

/// Tells whether nginx was built with the stream proxy inside.
pub(super) fn built_in() -> bool {
    Command::new("nginx").arg("-V").output().is_ok_and(|output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        text.contains("--with-stream ") && text.contains("--with-stream_ssl_module")
    })
}

/// Writes both configurations: a `server` block for each service.
pub(super) fn prepare(layout: &Layout<'_>) -> Result<Setup> {
    let (mut ingress, mut egress) = (String::new(), String::new());
    let certificates = layout.certificates;
    for route in &layout.routes {
        let (entry, link, target) = (route.entry, route.link, route.target);
        if route.carried == Carried::Datagrams {
            // Without TLS, which nginx does not have for datagrams.
            writeln!(
                ingress,
                "  server {{ listen {entry} udp; proxy_ssl off; proxy_pass {link}; }}"
            )?;
            writeln!(egress, "  server {{ listen {link} udp; proxy_pass {target}; }}")?;
            continue;
        }
        writeln!(ingress, "  server {{ listen {entry}; proxy_pass {link}; }}")?;
        writeln!(egress, "  server {{ listen {link} ssl; proxy_pass {target}; }}")?;
    }
    let ca = certificates.authority.display();
    let dial = format!(
        "  proxy_ssl on;\n  proxy_ssl_protocols TLSv1.3;\n  proxy_ssl_certificate {};\n  \
         proxy_ssl_certificate_key {};\n  proxy_ssl_trusted_certificate {ca};\n  \
         proxy_ssl_verify on;\n  proxy_ssl_name {NAME};\n",
        certificates.client.certificate.display(),
        certificates.client.key.display(),
    );
    let accept = format!(
        "  ssl_protocols TLSv1.3;\n  ssl_certificate {};\n  ssl_certificate_key {};\n  \
         ssl_client_certificate {ca};\n  ssl_verify_client on;\n",
        certificates.server.certificate.display(),
        certificates.server.key.display(),
    );
    let nginx = program(layout, "nginx")?;
    let launch = |name: &str, body: &str| -> Result<Launch> {
        let file = layout.write(&format!("{name}.conf"), &configuration(layout, name, body))?;
        let prefix = layout.dir.display().to_string();
        let log = format!("{prefix}/{name}.log");
        Ok(Launch::new(name, &nginx, ["-p", &prefix, "-e", &log, "-c", &file]))
    };
    Ok(Setup {
        ingress: vec![launch("ingress", &format!("{dial}{ingress}"))?],
        between: None,
        transit: None,
        egress: vec![launch("egress", &format!("{accept}{egress}"))?],
    })
}

fn configuration(layout: &Layout<'_>, name: &str, body: &str) -> String {
    let load = module().map(|path| format!("load_module {};\n", path.display()));
    format!(
        "{}daemon off;\nworker_processes auto;\nworker_rlimit_nofile 20000;\npid {}/{name}.pid;\n\
         error_log stderr warn;\nevents {{ worker_connections 12000; }}\nstream {{\n  \
         proxy_timeout 1h;\n  tcp_nodelay on;\n{body}}}\n",
        load.unwrap_or_default(),
        layout.dir.display(),
    )
}
