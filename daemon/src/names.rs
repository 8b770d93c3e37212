//! `vand apply-names`: carries out, as root, what the daemon wants of the host's name services.

use std::process::Command;

use van_host::{Places, Registration};

use crate::cli::ApplyNamesArgs;
use crate::process::Exit;
use crate::{Outcome, paths};

pub(crate) fn apply(args: &ApplyNamesArgs) -> Outcome {
    let folder = args.runtime_dir.clone().unwrap_or_else(paths::runtime_dir);
    let failed = |error: van_host::RegistrationError| Exit::failed("apply-names", error);
    // A wish that can't be read is none: what an earlier one brought is taken away all the same.
    let wish = Registration::read(&folder);
    let known = wish.as_ref().ok().and_then(Option::as_ref);
    let changed = Registration::apply(known, &Places::default()).map_err(failed)?;
    wish.map_err(failed)?;
    if changed {
        reload_resolved()?;
    }
    Ok(())
}

/// Has systemd-resolved read its files again, where it runs.
fn reload_resolved() -> Outcome {
    let mut systemctl = Command::new("systemctl");
    systemctl.args(["try-reload-or-restart", "systemd-resolved.service"]);
    let what = |why: String| Exit::failed("apply-names", format!("systemctl: {why}"));
    let done = systemctl.status().map_err(|e| what(e.to_string()))?;
    if done.success() { Ok(()) } else { Err(what(done.to_string())) }
}
