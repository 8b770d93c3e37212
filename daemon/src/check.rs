//! `vand check`: is the configuration good?

use std::path::Path;

use van_model::{Config, TokenSpec};

use crate::cli::CheckArgs;
use crate::process::Exit;
use crate::{Outcome, files, paths};

pub(crate) fn check(args: &CheckArgs) -> Outcome {
    let named = args.config.as_deref();
    let loaded = files::read(named).map_err(Exit::lines)?;
    let missing = missing_files(&loaded.config);
    if !missing.is_empty() {
        return Err(Exit::lines(missing));
    }
    report(named.unwrap_or(&paths::config_file()));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn report(path: &Path) {
    println!("{}: the configuration is good", path.display());
}

/// Files that the configuration names and that can't be read. A link's token may be gone once it
/// was redeemed, which only the running daemon knows; it is no mistake here.
fn missing_files(config: &Config) -> Vec<String> {
    let identity = config.identity.iter().flat_map(|i| {
        [("identity.ca", &i.ca), ("identity.key", &i.key), ("identity.bundle", &i.bundle)]
    });
    let unreadable = |key: &str, path: &Path| {
        let error = std::fs::File::open(path).err()?;
        Some(format!("{}: {key} can't be read: {error}", path.display()))
    };
    let broken_tokens = config.links.iter().filter_map(|link| {
        let TokenSpec::File(path) = &link.token else { return None };
        let text = std::fs::read_to_string(path).ok()?;
        let error = van_pki::Token::decode(&text).err()?;
        Some(format!("{}: token of link {}: {error}", path.display(), link.name))
    });
    identity.filter_map(|(key, path)| unreadable(key, path)).chain(broken_tokens).collect()
}
