//! Whether others can read or use what is not theirs: files of keys and tokens, the API socket.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::Group;
use van_model::TokenSpec;
use van_model::api::CheckLine;

use crate::site::Site;

/// Rights of the group and of others.
const OTHERS: u32 = 0o077;

/// Rights of others alone.
const EVERYBODY: u32 = 0o007;

/// A file or folder that is for the daemon alone.
fn private(what: &str, place: &Path, found: Result<u32, String>) -> CheckLine {
    let shown = place.display();
    match found {
        Ok(mode) if mode & OTHERS == 0 => {
            CheckLine::passed(what, format!("only its owner may use {shown}"))
        }
        Ok(mode) => {
            CheckLine::warning(what, format!("others may use {shown}: its mode is {mode:04o}"))
                .hint(format!("chmod go= {shown}"))
        }
        Err(why) => CheckLine::warning(what, format!("{shown} can't be looked at: {why}")),
    }
}

/// The key of a listener or connector. Its group may well be the daemon's.
fn tls_key(of: &str, place: &Path, found: Result<u32, String>) -> CheckLine {
    let (what, shown) = (format!("config/tls-key-{of}"), place.display());
    match found {
        Ok(mode) if mode & EVERYBODY == 0 => {
            CheckLine::passed(what, format!("not everybody may use {shown}"))
        }
        Ok(mode) => {
            CheckLine::warning(what, format!("everybody may use {shown}: its mode is {mode:04o}"))
                .hint(format!("chmod o= {shown}"))
        }
        Err(why) => CheckLine::warning(what, format!("{shown} can't be looked at: {why}")),
    }
}

fn group(name: &str, exists: bool) -> CheckLine {
    let what = "config/group";
    if exists {
        return CheckLine::passed(what, format!("members of group {name} may use the API"));
    }
    CheckLine::warning(
        what,
        format!("there is no group {name}: only root and the daemon may use the API"),
    )
    .hint(format!("make it ('groupadd --system {name}'), or set api.group; then restart vand"))
}

fn mode(place: &Path) -> Result<u32, String> {
    let meta: Metadata = fs::metadata(place).map_err(|error| error.to_string())?;
    Ok(meta.mode() & 0o7777)
}

impl Site {
    /// The configuration's side: its group and the token files that it names.
    pub(super) fn check_access(&self) -> Vec<CheckLine> {
        let config = self.loaded.lock().config.clone();
        let known = Group::from_name(&config.api.group).ok().flatten().is_some();
        let mut lines = vec![group(&config.api.group, known)];
        for link in &config.links {
            // A token that was redeemed may be gone.
            if let TokenSpec::File(path) = &link.token
                && path.exists()
            {
                lines.push(private(&format!("config/token-{}", link.name), path, mode(path)));
            }
        }
        if let Some(identity) = &config.identity {
            lines.push(private("config/identity-key", &identity.key, mode(&identity.key)));
        }
        for (name, key) in self.tls_keys() {
            let place = Path::new(&key);
            lines.push(tls_key(&name, place, mode(place)));
        }
        lines
    }

    /// Keys of listeners and connectors that are files of their own: a credential is the service manager's to guard.
    fn tls_keys(&self) -> Vec<(String, String)> {
        let running = self.running.lock();
        let listeners = running.listeners.iter().filter_map(|(name, run)| {
            let tls = run.wanted.spec.tls.as_ref()?;
            Some((format!("listener-{name}"), tls.key.clone()))
        });
        let connectors = running.connectors.iter().filter_map(|(name, wanted)| {
            let tls = wanted.spec.tls.as_ref()?;
            Some((format!("connector-{name}"), tls.key.clone()?))
        });
        let all = listeners.chain(connectors);
        all.filter(|(_, key)| !key.starts_with("credential:")).collect()
    }

    /// The state directory's side.
    pub(super) fn check_state_access(&self) -> Option<CheckLine> {
        let place = self.store.location()?;
        Some(private("identity/state", place, mode(place)))
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Passed, Warning};

    use super::*;

    #[test]
    fn what_others_may_read_is_told_with_the_command_that_ends_it() {
        let place = Path::new("/s");
        assert_eq!(private("x", place, Ok(0o700)).outcome, Passed);
        let open = private("x", place, Ok(0o750));
        assert_eq!((open.outcome, open.hint.as_deref()), (Warning, Some("chmod go= /s")));
        assert_eq!(private("x", place, Err("gone".into())).outcome, Warning);
        assert_eq!(tls_key("listener-web", place, Ok(0o640)).outcome, Passed);
        let open = tls_key("listener-web", place, Ok(0o644));
        assert_eq!((open.outcome, open.hint.as_deref()), (Warning, Some("chmod o= /s")));
        assert_eq!((group("g", true).outcome, group("g", false).outcome), (Passed, Warning));
    }
}
