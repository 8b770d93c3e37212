//! Reading configuration files and the environment.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use van_config::{File, Input, Loaded, MAX_FILE_BYTES, load};

use crate::paths;

/// Reads a configuration: the file and `conf.d` beside it, then the environment.
///
/// A file that is named must exist; the default one may be missing. The error is all mistakes, a
/// line each.
pub(crate) fn read(named: Option<&Path>) -> Result<Loaded, Vec<String>> {
    let main = named.map_or_else(paths::config_file, Path::to_path_buf);
    let mut problems = Vec::new();
    let mut files = Vec::new();
    let optional = named.is_none() && !main.exists();
    let main_file = (!optional).then(|| main.clone());
    for path in main_file.into_iter().chain(drop_ins(&main, &mut problems)) {
        match read_file(&path) {
            Ok(bytes) => files.push(File { path: path.display().to_string(), bytes }),
            Err(error) => problems.push(format!("{}:1: can't be read: {error}", path.display())),
        }
    }
    let env = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let input = Input { files, env, host_name: paths::host_name() };
    match load(&input) {
        Ok(loaded) if problems.is_empty() => Ok(loaded),
        Ok(_) => Err(problems),
        Err(mistakes) => {
            problems.extend(mistakes.to_string().lines().map(ToOwned::to_owned));
            Err(problems)
        }
    }
}

fn drop_ins(main: &Path, problems: &mut Vec<String>) -> Vec<PathBuf> {
    let folder = main.parent().unwrap_or(Path::new(".")).join("conf.d");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problems.push(format!("{}:1: can't be read: {error}", folder.display()));
            return Vec::new();
        }
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    files
}

/// Reads at most a byte more than a configuration may have, so that its checker can say so.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
