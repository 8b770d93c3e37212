//! The way from the input to a configuration.

use figment::Figment;
use figment::value::{Dict, Value};
use van_model::{Config, ConnectorSpec, Mode, Name, SiteSpec};

use crate::file::Input;
use crate::merge::Merged;
use crate::mistake::{Mistake, Mistakes, Place, Problem};
use crate::origin::Origins;
use crate::{connector, env, link, listener, tree};

/// A configuration without mistakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// What is wanted.
    pub config: Config,
    /// Where each value of it came from.
    pub origins: Origins,
}

/// The name of a site whose host has no usable one.
const DEFAULT_NAME: &str = "site";

/// Reads and merges files and environment over the defaults.
///
/// Fails with every mistake of every file and variable, in order.
pub fn load(input: &Input) -> Result<Loaded, Mistakes> {
    let mut mistakes = Vec::new();
    let mut layers: Vec<_> =
        input.files.iter().map(|file| tree::read(file, &mut mistakes)).collect();
    layers.push(env::read(&input.env, &mut mistakes));
    let merged = Merged::new(&default_site(&input.host_name), &layers);
    merged.check(&mut mistakes);
    if mistakes.is_empty() {
        match config(&merged) {
            Ok(config) => return Ok(Loaded { config, origins: merged.origins() }),
            Err(error) => mistakes.push(unfit(input, &error)),
        }
    }
    mistakes.sort_by_key(|mistake| rank(input, &mistake.place));
    Err(Mistakes::new(mistakes))
}

fn default_site(host_name: &str) -> SiteSpec {
    let name = Name::from_lossy(host_name)
        .unwrap_or_else(|| DEFAULT_NAME.parse().expect("the word is a valid name"));
    SiteSpec { name, mode: Mode::default(), labels: std::collections::BTreeMap::new() }
}

/// The order of the files, their lines, and then the environment.
fn rank(input: &Input, place: &Place) -> (usize, usize, usize) {
    match place {
        Place::File { path, line, column } => {
            let file = input.files.iter().position(|file| file.path == *path);
            (file.unwrap_or(usize::MAX - 1), *line, *column)
        }
        Place::Env { .. } => (usize::MAX, 0, 0),
    }
}

/// The model refuses what the schema let through: told like any other mistake.
fn unfit(input: &Input, error: &figment::Error) -> Mistake {
    let path = input.files.first().map_or_else(|| "configuration".into(), |f| f.path.clone());
    let what = format!("the merged configuration can't be used: {}", error.kind);
    Mistake::new(
        Place::File { path, line: 1, column: 1 },
        &error.path.join("."),
        Problem::plain(what),
    )
}

/// Why the model refuses merged values; boxed, as it is large and rare.
type Unfit = Box<figment::Error>;

fn config(merged: &Merged<'_>) -> Result<Config, Unfit> {
    let figment = &merged.figment;
    Ok(Config {
        site: figment.extract_inner("site")?,
        accept: optional(figment, "accept")?,
        links: entries(merged, "link", |_, entry| {
            if let Some(token) = entry.remove("token") {
                let credential = token.as_str().and_then(|t| t.strip_prefix(link::CREDENTIAL));
                let token = match credential {
                    Some(name) => Dict::from([("credential".into(), name.into())]),
                    None => Dict::from([("file".into(), token)]),
                };
                entry.insert("token".into(), token.into());
            }
        })?,
        connectors: entries(merged, "connector", |name, entry| {
            connector::gather_timing(entry);
            connector::gather_target(entry);
            name_is_address(name, entry);
        })?
        .into_iter()
        .map(ConnectorSpec::settled)
        .collect(),
        listeners: entries(merged, "listener", |name, entry| {
            listener::gather_idle(entry);
            first_is_address(name, entry);
        })?,
        services: figment.extract_inner("services")?,
        podman: figment.extract_inner("podman")?,
        identity: optional(figment, "identity")?,
        api: figment.extract_inner("api")?,
        metrics: optional(figment, "metrics")?,
        tracing: optional(figment, "tracing")?,
        log: figment.extract_inner("log")?,
        limits: figment.extract_inner("limits")?,
    })
}

fn optional<'de, T: serde::Deserialize<'de>>(
    figment: &Figment,
    section: &str,
) -> Result<Option<T>, Unfit> {
    if figment.contains(section) { Ok(Some(figment.extract_inner(section)?)) } else { Ok(None) }
}

fn name_is_address(name: &str, entry: &mut Dict) {
    entry.entry("address".into()).or_insert_with(|| name.into());
}

/// Of several addresses the first is the listener's; with routes it may do without.
fn first_is_address(name: &str, entry: &mut Dict) {
    let has = |key: &str| entry.contains_key(key);
    if has("routes") && !has("address") && !has("addresses") {
        entry.insert("only_routes".into(), true.into());
    }
    let first = match entry.get("addresses") {
        Some(Value::Array(_, several)) => several.first().and_then(Value::as_str),
        _ => None,
    };
    if let Some(first) = first {
        let address = first.split('=').next().unwrap_or_default().to_owned();
        entry.insert("address".into(), address.into());
    }
    name_is_address(name, entry);
}

fn entries<'de, T: serde::Deserialize<'de>>(
    merged: &Merged<'_>,
    section: &str,
    complete: fn(&str, &mut Dict),
) -> Result<Vec<T>, Unfit> {
    let mut found = merged.section(section);
    merged
        .names(section)
        .map(|name| {
            let mut entry = found.remove(name).and_then(Value::into_dict).unwrap_or_default();
            complete(name, &mut entry);
            Value::from(entry).deserialize().map_err(Box::new)
        })
        .collect()
}
