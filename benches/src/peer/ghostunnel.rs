//! ghostunnel: a pair of processes for each service.

use crate::certificate::NAME;
use crate::layout::{Layout, Setup};
use crate::process::Launch;

/// Gives a client and a server for each service.
pub(super) fn prepare(layout: &Layout<'_>) -> Setup {
    let certificates = layout.certificates;
    let ghostunnel = layout.programs.find("ghostunnel").unwrap_or_else(|| "ghostunnel".into());
    let text = |path: &std::path::Path| path.display().to_string();
    let mut setup = Setup::default();
    for route in &layout.routes {
        let client = [
            "client".to_owned(),
            format!("--listen={}", route.entry),
            format!("--target={}", route.link),
            format!("--cert={}", text(&certificates.client.certificate)),
            format!("--key={}", text(&certificates.client.key)),
            format!("--cacert={}", text(&certificates.authority)),
            format!("--override-server-name={NAME}"),
            "--quiet=all".to_owned(),
        ];
        let server = [
            "server".to_owned(),
            format!("--listen={}", route.link),
            format!("--target={}", route.target),
            format!("--cert={}", text(&certificates.server.certificate)),
            format!("--key={}", text(&certificates.server.key)),
            format!("--cacert={}", text(&certificates.authority)),
            format!("--allow-cn={NAME}"),
            "--unsafe-target".to_owned(),
            "--quiet=all".to_owned(),
        ];
        setup.ingress.push(Launch::new(format!("ingress-{}", route.name), &ghostunnel, client));
        setup.egress.push(Launch::new(format!("egress-{}", route.name), &ghostunnel, server));
    }
    setup
}
