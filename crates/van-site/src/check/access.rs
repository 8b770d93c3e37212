//! Whether others can read or use what is not theirs: files of keys and tokens, the API socket.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use nix::unistd::Group;
use van_model::TokenSpec;
use van_model::api::CheckLine;

use crate::site::Site;

/// For whom a file or folder is.
struct Private {
    /// The rights that nobody else may have.
    mask: u32,
    fine: &'static str,
    who: &'static str,
    mend: &'static str,
}

/// For the daemon alone.
const OWNER: Private =
    Private { mask: 0o077, fine: "only its owner may use", who: "others", mend: "chmod go=" };

/// For some: the group of a listener's or connector's key may well be the daemon's.
const GROUP: Private =
    Private { mask: 0o007, fine: "not everybody may use", who: "everybody", mend: "chmod o=" };

fn private(whose: &Private, what: &str, place: &Path, found: Result<u32, String>) -> CheckLine {
    let (Private { mask, fine, who, mend }, shown) = (whose, place.display());
    match found {
        Ok(mode) if mode & mask == 0 => CheckLine::passed(what, format!("{fine} {shown}")),
        Ok(mode) => {
            CheckLine::warning(what, format!("{who} may use {shown}: its mode is {mode:04o}"))
                .hint(format!("{mend} {shown}"))
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
                let what = format!("config/token-{}", link.name);
                lines.push(private(&OWNER, &what, path, mode(path)));
            }
        }
        if let Some(identity) = &config.identity {
            let key = &identity.key;
            lines.push(private(&OWNER, "config/identity-key", key, mode(key)));
        }
        for (name, key) in self.tls_keys() {
            let place = Path::new(&key);
            let what = format!("config/tls-key-{name}");
            lines.push(private(&GROUP, &what, place, mode(place)));
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
        Some(private(&OWNER, "identity/state", place, mode(place)))
    }
}

#[cfg(test)]
mod tests {
    use van_model::api::CheckOutcome::{Passed, Warning};

    use super::*;

    #[test]
    fn what_others_may_read_is_told_with_the_command_that_ends_it() {
        let place = Path::new("/s");
        assert_eq!(private(&OWNER, "x", place, Ok(0o700)).outcome, Passed);
        let open = private(&OWNER, "x", place, Ok(0o750));
        assert_eq!((open.outcome, open.hint.as_deref()), (Warning, Some("chmod go= /s")));
        assert_eq!(private(&OWNER, "x", place, Err("gone".into())).outcome, Warning);
        assert_eq!(private(&GROUP, "x", place, Ok(0o640)).outcome, Passed);
        let open = private(&GROUP, "x", place, Ok(0o644));
        assert_eq!((open.outcome, open.hint.as_deref()), (Warning, Some("chmod o= /s")));
        assert_eq!((group("g", true).outcome, group("g", false).outcome), (Passed, Warning));
    }
}
