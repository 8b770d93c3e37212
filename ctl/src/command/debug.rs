//! `vanctl debug`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::cli::Session;
use crate::error::{Outcome, Problem, reason};

/// The documents of the API that go into a dump, and how each is asked for.
const PARTS: [(&str, &str); 13] = [
    ("status", "/v1/status"),
    ("site", "/v1/site"),
    ("config", "/v1/config"),
    ("network", "/v1/network"),
    ("links", "/v1/links"),
    ("peers", "/v1/peers"),
    ("listeners", "/v1/listeners"),
    ("connectors", "/v1/connectors"),
    ("services", "/v1/services"),
    ("tokens", "/v1/tokens"),
    ("events", "/v1/events"),
    ("flows", "/v1/flows"),
    ("debug", "/v1/debug"),
];

/// The most time for one part, so that the whole ends soon whatever is stuck.
const PART_TIME: Duration = Duration::from_secs(3);

/// The most bytes of all parts together, before they are packed.
const MOST: usize = 20_000_000;

/// The commands of `vanctl debug`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write everything that a report of a problem needs into one file, without secrets
    #[command(after_help = "Example:\n  vanctl debug dump report.tar.gz")]
    Dump {
        /// The file to make; its mode is 0600
        #[arg(value_name = "FILE.tar.gz")]
        file: PathBuf,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
}

impl Command {
    pub(super) async fn run(self, session: &mut Session) -> Outcome {
        let Self::Dump { file, force } = self;
        let parts = gather(session).await?;
        let packed = pack(&parts).map_err(|e| Problem::failed(format!("packing: {e}")))?;
        write(&file, force, &packed)?;
        let size = crate::output::bytes(u64::try_from(packed.len()).unwrap_or(u64::MAX));
        session.output.note(&format!("{} parts, {size}, are in {}", parts.len(), file.display()));
        Ok(())
    }
}

/// Every part as a file name and its text; one that fails is a file that says why.
async fn gather(session: &mut Session) -> Outcome<Vec<(String, String)>> {
    let mut parts = Vec::new();
    for (name, path) in PARTS {
        let asked = tokio::time::timeout(PART_TIME, session.client.get(path)).await;
        match asked {
            Ok(Ok(document)) if name == "debug" => parts.extend(texts(&document)),
            Ok(Ok(document)) => parts.push((format!("{name}.json"), pretty(&document))),
            // Without the first there is no daemon at all, or no right.
            Ok(Err(problem)) if parts.is_empty() => return Err(problem),
            Ok(Err(problem)) => parts.push((format!("{name}.failed"), problem.why)),
            Err(_) => parts.push((format!("{name}.failed"), "no answer in time".into())),
        }
    }
    let nothing = serde_json::json!({});
    let check = session.client.post("/v1/check", &nothing);
    match tokio::time::timeout(PART_TIME, check).await {
        Ok(Ok(document)) => parts.push(("check.json".into(), pretty(&document))),
        Ok(Err(problem)) => parts.push(("check.failed".into(), problem.why)),
        Err(_) => parts.push(("check.failed".into(), "no answer in time".into())),
    }
    match tokio::time::timeout(PART_TIME, session.client.text("/v1/metrics")).await {
        Ok(Ok(text)) => parts.push(("metrics.txt".into(), text)),
        Ok(Err(problem)) => parts.push(("metrics.failed".into(), problem.why)),
        Err(_) => parts.push(("metrics.failed".into(), "no answer in time".into())),
    }
    parts.push(("vanctl.txt".into(), format!("vanctl {}\n", env!("CARGO_PKG_VERSION"))));
    Ok(bounded(parts))
}

fn pretty(document: &Value) -> String {
    serde_json::to_string_pretty(document).unwrap_or_else(|error| error.to_string())
}

/// What only the daemon knows: a text for each name.
fn texts(document: &Value) -> Vec<(String, String)> {
    let Some(texts) = document.as_object() else { return Vec::new() };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    texts
        .iter()
        .filter(|(name, _)| name.chars().all(plain) && !name.starts_with('.'))
        .filter_map(|(name, text)| Some((format!("{name}.txt"), text.as_str()?.to_owned())))
        .collect()
}

/// Cuts what is too long, so that the whole keeps within its bound.
fn bounded(mut parts: Vec<(String, String)>) -> Vec<(String, String)> {
    let most = MOST / parts.len().max(1);
    for (_, text) in &mut parts {
        if text.len() > most {
            let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            text.truncate(end);
            text.push_str("\n(the rest is left out)\n");
        }
    }
    parts
}

fn pack(parts: &[(String, String)]) -> std::io::Result<Vec<u8>> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (name, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("vand-dump/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

fn write(path: &Path, force: bool, bytes: &[u8]) -> Outcome {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let failed = |error: std::io::Error| {
        let exists = error.kind() == std::io::ErrorKind::AlreadyExists;
        let problem = Problem::failed(format!("{}: {}", path.display(), reason(&error)));
        if exists {
            problem.hint("choose another name, or replace it with --force")
        } else {
            problem
        }
    };
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(bytes).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_bounded_and_names_stay_in_the_folder() {
        let long = vec![("a.txt".to_owned(), "ä".repeat(MOST)), ("b.txt".to_owned(), "b".into())];
        let cut = bounded(long);
        assert!(cut[0].1.len() <= MOST / 2 + 40 && cut[0].1.ends_with("left out)\n"));
        assert_eq!(cut[1].1, "b");
        let named = serde_json::json!({"log": "x", "../etc/passwd": "x", ".hidden": "x", "n": 1});
        assert_eq!(texts(&named), [("log.txt".to_owned(), "x".to_owned())]);
    }

    #[test]
    fn files_are_private_and_not_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dump.tar.gz");
        write(&path, false, &pack(&[("a".into(), "text".into())]).unwrap()).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let refused = write(&path, false, b"x").unwrap_err();
        assert!(refused.hint.unwrap().contains("--force"));
        write(&path, true, b"x").unwrap();
    }
}
