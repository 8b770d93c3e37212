//! What only the daemon can tell for a report, beside what the API shows anyway.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::site::Site;

/// The most bytes of one text; what is longer is cut at its beginning.
const MOST: usize = 1 << 20;

/// Files of the kernel and the host that tell of the process and its network; none holds a secret.
const FILES: [(&str, &str); 9] = [
    ("process-status", "/proc/self/status"),
    ("process-limits", "/proc/self/limits"),
    ("process-cgroup", "/proc/self/cgroup"),
    ("memory", "/proc/meminfo"),
    ("load", "/proc/loadavg"),
    ("kernel", "/proc/version"),
    ("os-release", "/etc/os-release"),
    ("routes", "/proc/self/net/route"),
    ("sockets", "/proc/self/net/sockstat"),
];

impl Site {
    /// Texts by name. Of the state directory names, sizes and modes are told, and no content; of the
    /// environment nothing.
    pub(crate) fn debug_texts(&self) -> BTreeMap<String, String> {
        let mut texts = BTreeMap::new();
        for (name, path) in FILES {
            let text =
                fs::read_to_string(path).unwrap_or_else(|error| format!("{path}: {error}\n"));
            texts.insert(name.to_owned(), cut(text));
        }
        let log = (self.environment.recent_log)();
        texts.insert("log".into(), cut(log));
        texts.insert("threads".into(), threads());
        texts.insert("state-directory".into(), listing(self.store.location()));
        let routes = self.map.routes();
        texts.insert("network.dot".into(), cut(routes.dot()));
        texts
    }
}

fn cut(text: String) -> String {
    let Some(start) = text.len().checked_sub(MOST) else { return text };
    let start = (start..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
    format!("(the beginning is left out)\n{}", &text[start..])
}

/// The process's threads: name, state, and how often each was switched.
fn threads() -> String {
    let mut text = String::new();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let wanted = ["Name:", "State:", "voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"];
        let lines = status.lines().filter(|line| wanted.iter().any(|word| line.starts_with(word)));
        let words: Vec<String> = lines.map(|line| line.replace('\t', " ")).collect();
        text.push_str(&format!("{} {}\n", task.file_name().display(), words.join("; ")));
    }
    text
}

/// The files of a folder without what is in them.
fn listing(folder: Option<&Path>) -> String {
    let Some(folder) = folder else { return "the state is kept in memory\n".into() };
    let mut text = format!("{}\n", folder.display());
    match fs::read_dir(folder) {
        Ok(entries) => {
            for entry in entries.flatten() {
                let Ok(meta) = entry.metadata() else { continue };
                let (mode, owner) = (meta.mode() & 0o7777, (meta.uid(), meta.gid()));
                let name = entry.file_name();
                let _ = writeln!(
                    text,
                    "{mode:04o} {}:{} {:>9} {}",
                    owner.0,
                    owner.1,
                    meta.len(),
                    name.display()
                );
            }
        }
        Err(error) => text.push_str(&format!("{error}\n")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_keep_their_end() {
        assert_eq!(cut("short".into()), "short");
        let long = cut(format!("{}é end", "ä".repeat(MOST)));
        assert!(long.len() <= MOST + 40 && long.ends_with("é end"), "{}", long.len());
    }

    #[test]
    fn folders_are_listed_without_their_content() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("authority.key"), "SECRET").unwrap();
        let text = listing(Some(dir.path()));
        assert!(text.contains("authority.key") && !text.contains("SECRET"), "{text}");
        assert!(threads().contains("Name:"));
    }
}
