//! `vand apply-names`: carries out, as root, what the daemon wants of the host's name services.

use std::process::{Command, Stdio};

use van_host::{Places, Registration};

use crate::cli::ApplyNamesArgs;
use crate::process::{Exit, warn};
use crate::{Outcome, paths};

const RESOLVED: &str = "systemd-resolved.service";

pub(crate) fn apply(args: &ApplyNamesArgs) -> Outcome {
    let folder = args.runtime_dir.clone().unwrap_or_else(paths::runtime_dir);
    let failed = |error: van_host::RegistrationError| Exit::failed("apply-names", error);
    Registration::take_news(&folder).map_err(failed)?;
    // A wish that can't be read is none: what an earlier one brought is taken away all the same.
    let wish = Registration::read(&folder);
    let known = wish.as_ref().ok().and_then(Option::as_ref);
    let resolved = systemctl(&["is-active", "--quiet", RESOLVED])?;
    let places = Places::default();
    let applied = Registration::apply(known, &places, resolved).map_err(failed)?;
    if applied.changed && resolved && !systemctl(&["try-reload-or-restart", RESOLVED])? {
        return Err(Exit::failed(
            "apply-names",
            format!("{RESOLVED} does not read its files again"),
        ));
    }
    let wish = wish.map_err(failed)?;
    if let Some(wish) = wish.as_ref().filter(|_| !resolved) {
        let (domain, server, port) = (&wish.domain, wish.server, wish.port);
        warn(&format!(
            "{RESOLVED} does not run, so this host and its containers don't know the names of \
             {domain}; they are answered at {server}, port {port}"
        ));
    }
    Ok(())
}

/// Runs it, and tells whether it succeeded.
fn systemctl(arguments: &[&str]) -> Result<bool, Exit> {
    let mut systemctl = Command::new("systemctl");
    let status = systemctl.args(arguments).stdin(Stdio::null()).status();
    let status = status.map_err(|e| Exit::failed("apply-names", format!("systemctl: {e}")))?;
    Ok(status.success())
}
