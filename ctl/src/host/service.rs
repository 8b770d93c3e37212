//! The service of a site: what systemd knows of it, and what it is asked to do.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::Place;
use super::place::session_dir;
use crate::error::{Exit, Outcome, Problem, reason};
use crate::output::Output;

/// The daemon's unit.
const SERVICE: &str = "vand.service";
/// The unit of its API's socket; users have none.
const SOCKET: &str = "vand.socket";
/// Ports that systemd keeps open for it, where somebody wanted that.
const PORTS: &str = "vand-ports.socket";
/// The longest that systemd may take to answer a question.
const PATIENCE: Duration = Duration::from_secs(30);

/// systemd, as far as it runs a site.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    program: PathBuf,
    own: bool,
}

/// A unit as systemd knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Unit {
    name: String,
    enabled: bool,
    /// Whether it runs, or is on the way to or from that.
    active: bool,
    /// Whether it runs and can be told to reload.
    settled: bool,
}

/// What there is of a site's service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    units: Vec<Unit>,
}

/// One thing to ask of systemd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    words: Vec<String>,
    /// What is said once it is done.
    pub(crate) done: String,
}

impl Service {
    /// The service of a site; nothing where the host was not booted with systemd.
    pub(crate) fn of(place: &Place) -> Option<Self> {
        let booted = Path::new("/run/systemd/system").is_dir();
        booted.then(|| Self { program: "systemctl".into(), own: place.own })
    }

    /// What there is of it; nothing where its unit is not installed, or systemd runs no services of
    /// this user.
    ///
    /// # Errors
    /// When the host's systemd doesn't answer.
    pub(crate) async fn look(&self, output: Output) -> Outcome<Option<Found>> {
        let mut words = vec!["show", "--property=Id,LoadState,UnitFileState,ActiveState"];
        if !self.own {
            // Before the service: systemd opens no socket for one that runs already.
            words.extend([SOCKET, PORTS]);
        }
        words.push(SERVICE);
        let words: Vec<String> = words.into_iter().map(Into::into).collect();
        match self.ask(&words, PATIENCE).await {
            Ok(told) => Ok(Found::read(&told)),
            Err(problem) if self.own => {
                output.note(&format!("note: systemd runs no services of yours: {}", problem.why));
                Ok(None)
            }
            Err(problem) => Err(problem),
        }
    }

    /// Does one thing; a limit of zero doesn't wait until it is done.
    ///
    /// # Errors
    /// What systemd says against it, or that the time is over.
    pub(crate) async fn run(&self, step: &Step, limit: Duration) -> Outcome {
        let mut words = step.words.clone();
        let mut limit = limit;
        if limit.is_zero() {
            words.insert(1, "--no-block".into());
            limit = PATIENCE;
        }
        self.ask(&words, limit).await.map(drop)
    }

    /// A step as one would type it.
    pub(crate) fn line(&self, step: &Step) -> String {
        let user = if self.own { " --user" } else { "" };
        format!("systemctl{user} {}", step.words.join(" "))
    }

    async fn ask(&self, words: &[String], limit: Duration) -> Outcome<String> {
        let mut command = Command::new(&self.program);
        if self.own {
            command.arg("--user");
            if let Some(dir) =
                session_dir().filter(|_| std::env::var_os("XDG_RUNTIME_DIR").is_none())
            {
                command.env("XDG_RUNTIME_DIR", dir);
            }
        }
        command.args(words).stdin(Stdio::null()).kill_on_drop(true);
        let line = || format!("systemctl {}", words.join(" "));
        let hint =
            if self.own { "journalctl --user -u vand -n 20" } else { "journalctl -u vand -n 20" };
        let Ok(ran) = tokio::time::timeout(limit, command.output()).await else {
            let limit = humantime::format_duration(limit);
            let why = format!("{} did not end within {limit}", line());
            return Err(Problem::new(Exit::TimedOut, why).hint(hint));
        };
        let output = ran
            .map_err(|error| Problem::failed(format!("can't run systemctl: {}", reason(&error))))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it failed");
        Err(Problem::failed(format!("{}: {why}", line())).hint(hint))
    }
}

impl Found {
    /// Reads what `systemctl show` says of several units.
    fn read(text: &str) -> Option<Self> {
        let units = text.split("\n\n").filter_map(|block| {
            let field = |key: &str| {
                let mut pairs = block.lines().filter_map(|line| line.split_once('='));
                pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
            };
            (field("LoadState")? != "not-found").then(|| Unit {
                name: field("Id").unwrap_or_default().to_owned(),
                enabled: field("UnitFileState").is_some_and(|state| state.starts_with("enabled")),
                active: field("ActiveState")
                    .is_some_and(|state| !matches!(state, "inactive" | "failed")),
                settled: field("ActiveState") == Some("active"),
            })
        });
        let found = Self { units: units.collect() };
        found.units.iter().any(|unit| unit.name == SERVICE).then_some(found)
    }

    fn names(&self, wanted: impl Fn(&Unit) -> bool) -> Vec<String> {
        self.units.iter().filter(|unit| wanted(unit)).map(|unit| unit.name.clone()).collect()
    }

    fn service(&self, is: impl Fn(&Unit) -> bool) -> bool {
        self.units.iter().any(|unit| unit.name == SERVICE && is(unit))
    }

    /// Whether anything of it runs or would at the next start of the host.
    pub(crate) fn present(&self) -> bool {
        self.units.iter().any(|unit| unit.enabled || unit.active)
    }

    /// What makes it run, now and from the next start of the host on; none where it does already.
    pub(crate) fn starting(&self, changed: bool) -> Vec<Step> {
        // Ports are for who wants them.
        let ours = |unit: &Unit| unit.name != PORTS;
        let mut steps = Vec::new();
        let disabled = self.names(|unit| ours(unit) && !unit.enabled);
        if !disabled.is_empty() {
            steps.push(Step::new("enable", disabled, "enabled"));
        }
        if self.service(|unit| unit.settled) {
            if changed {
                steps.push(Step::new("reload", vec![SERVICE.into()], "reloaded"));
            }
        } else if self.service(|unit| unit.active) {
            // It fails to start, again and again; what is wrong may be mended now.
            steps.push(Step::new("restart", vec![SERVICE.into()], "restarted"));
        } else {
            steps.push(Step::new(
                "start",
                self.names(|unit| ours(unit) && !unit.active),
                "started",
            ));
        }
        steps
    }

    /// What makes it stop for good.
    pub(crate) fn stopping(&self) -> Vec<Step> {
        let there = self.names(|unit| unit.enabled || unit.active);
        let mut steps = Vec::new();
        if !there.is_empty() {
            let mut step = Step::new("disable", there, "stopped and disabled");
            step.words.insert(1, "--now".into());
            steps.push(step);
        }
        steps
    }
}

impl Step {
    fn new(verb: &str, units: Vec<String>, done: &str) -> Self {
        let done = format!("{} {done}", units.join(", "));
        Self { words: std::iter::once(verb.to_owned()).chain(units).collect(), done }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn shown(service: (&str, &str), socket: (&str, &str)) -> Found {
        let block = |name: &str, (file, active): (&str, &str)| {
            format!("ActiveState={active}\nId={name}\nLoadState=loaded\nUnitFileState={file}\n")
        };
        let ports = "ActiveState=inactive\nId=vand-ports.socket\nLoadState=not-found\n";
        let text = [block(SOCKET, socket), ports.into(), block(SERVICE, service)].join("\n");
        Found::read(&text).unwrap()
    }

    fn lines(steps: &[Step]) -> Vec<String> {
        let service = Service { program: "systemctl".into(), own: false };
        steps.iter().map(|step| service.line(step)).collect()
    }

    #[test]
    fn what_runs_already_is_not_started() {
        let up = shown(("enabled", "active"), ("enabled", "active"));
        assert!(up.present());
        assert_eq!(up.starting(false), []);
        assert_eq!(lines(&up.starting(true)), ["systemctl reload vand.service"]);
        let stop = "systemctl disable --now vand.socket vand.service";
        assert_eq!(lines(&up.stopping()), [stop]);
    }

    #[test]
    fn what_is_missing_is_asked_for_and_no_more() {
        let down = shown(("disabled", "inactive"), ("disabled", "inactive"));
        assert!(!down.present());
        let start = [
            "systemctl enable vand.socket vand.service",
            "systemctl start vand.socket vand.service",
        ];
        assert_eq!(lines(&down.starting(true)), start);
        assert_eq!(down.stopping(), []);
        // A socket can't be opened for a service that runs without it.
        let bare = shown(("enabled", "active"), ("disabled", "inactive"));
        assert_eq!(lines(&bare.starting(false)), ["systemctl enable vand.socket"]);
        let failing = shown(("enabled", "activating"), ("enabled", "active"));
        assert_eq!(lines(&failing.starting(false)), ["systemctl restart vand.service"]);
        let failed = shown(("enabled", "failed"), ("enabled", "active"));
        assert_eq!(lines(&failed.starting(false)), ["systemctl start vand.service"]);
    }

    #[test]
    fn a_unit_that_is_not_installed_is_none() {
        let text = "Id=vand.service\nLoadState=not-found\nActiveState=inactive\n";
        assert_eq!(Found::read(text), None);
        assert_eq!(Found::read(""), None);
        assert_eq!(Found::read("junk\n\n=\n"), None);
    }

    #[test]
    fn systemd_is_asked_and_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("systemctl");
        let script = "#!/bin/sh\necho \"$*\" >>\"${0%/*}/asked\"\ncase $* in *start*) echo 'Job failed.' >&2; exit 1;; esac\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let service = Service { program, own: true };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let run = |verb: &str, limit| {
            let step = Step::new(verb, vec![SERVICE.into()], "done");
            runtime.block_on(service.run(&step, limit))
        };
        assert_eq!(run("enable", PATIENCE), Ok(()));
        let failed = run("start", Duration::ZERO).unwrap_err();
        assert_eq!(failed.why, "systemctl start --no-block vand.service: Job failed.");
        assert_eq!(failed.hint.as_deref(), Some("journalctl --user -u vand -n 20"));
        let asked = std::fs::read_to_string(dir.path().join("asked")).unwrap();
        assert_eq!(asked, "--user enable vand.service\n--user start --no-block vand.service\n");
    }
}
