//! `vand export` and `vand import`: an edge site for as long as the command runs.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use van_api::SiteApi as _;
use van_config::{Input, Loaded};
use van_model::status::LinkState;
use van_model::{
    Address, Bind, Check, CheckTiming, ConnectorSpec, LinkSpec, ListenerSpec, Mode, Name, Protocol,
    Target, TokenSpec,
};
use van_net::Proxy;
use van_pki::Token;
use van_site::{Environment, Site};
use van_store::Store;

use crate::cli::{ExportArgs, ImportArgs, OneShotArgs, Pair};
use crate::process::{Exit, NOT_ALLOWED};
use crate::run::{control_runtime, raise_descriptor_limit, start_site, store_exit};
use crate::{Outcome, log, paths};

/// Reasons of a failed link that no patience mends.
const FINAL: [&str; 4] = ["Refused", "Revoked", "SelfLink", "BadToken"];

pub(crate) fn export(args: &ExportArgs) -> Outcome {
    run(&args.pairs, &args.import, &args.common)
}

pub(crate) fn import(args: &ImportArgs) -> Outcome {
    run(&args.export, &args.pairs, &args.common)
}

fn run(exports: &[Pair<Target>], imports: &[Pair<Bind>], args: &OneShotArgs) -> Outcome {
    let (handle, _) = log::start("warn");
    raise_descriptor_limit();
    let text = read_token(&args.token)
        .map_err(|e| Exit::failed("reading the token", format!("{}: {e}", args.token.display())))?;
    Token::decode(&text).map_err(|e| {
        Exit::with_code(NOT_ALLOWED, "reading the token", format!("{}: {e}", args.token.display()))
    })?;
    let loaded = configuration(exports, imports, args, text)?;
    let store = match &args.state_dir {
        Some(dir) => Store::open(dir).map_err(store_exit)?,
        None => Store::in_memory(),
    };
    let environment = Environment {
        version: env!("CARGO_PKG_VERSION").into(),
        namespace: None,
        replica: None,
        ephemeral: true,
        name_prefix: args.site_name.is_none().then(|| format!("export-{}", paths::host_name())),
        runtime_dir: None,
        recent_log: Box::new(String::new),
        handed: van_net::Handed::default(),
        podman: paths::podman(),
        credentials: None,
        proxy: Proxy::from_environment(|name| std::env::var(name).ok()),
        reload: None,
        set_log: Box::new(move |level| {
            handle.reload(log::filter(level)?).map_err(|e| e.to_string())
        }),
    };
    let runtime = control_runtime().map_err(|e| Exit::failed("start", e))?;
    runtime.block_on(serve(loaded, store, environment))
}

fn configuration(
    exports: &[Pair<Target>],
    imports: &[Pair<Bind>],
    args: &OneShotArgs,
    token: String,
) -> Result<Loaded, Exit> {
    let input = Input { host_name: paths::host_name(), ..Input::default() };
    let mut loaded = van_config::load(&input).map_err(|e| Exit::failed("start", e))?;
    let config = &mut loaded.config;
    config.site.mode = Mode::Edge;
    // It offers here what was asked for, and nothing by itself.
    config.services.import.clear();
    if let Some(name) = &args.site_name {
        config.site.name = name.clone();
    }
    let link: Name = "network".parse().map_err(|e| Exit::failed("start", e))?;
    config.links = vec![LinkSpec {
        name: link,
        token: TokenSpec::Text(token),
        cost: args.cost,
        proxy: args.proxy.clone(),
    }];
    config.connectors = exports
        .iter()
        .zip(names(exports.iter().map(|p| &p.address)))
        .map(|(pair, name)| ConnectorSpec {
            name,
            address: pair.address.clone(),
            protocol: Protocol::Tcp,
            target: pair.place.clone(),
            service_port: pair.address.port().and_then(NonZeroU16::new),
            check: Check::Tcp,
            timing: CheckTiming::default(),
            proxy_protocol: false,
            priority: 0,
            weight: NonZeroU16::MIN,
            tls: None,
        })
        .collect();
    config.listeners = imports
        .iter()
        .zip(names(imports.iter().map(|p| &p.address)))
        .map(|(pair, name)| ListenerSpec::new(name, pair.address.clone(), pair.place.clone()))
        .collect();
    Ok(loaded)
}

/// A resource name for each address, in order: its own name, with a number where it comes again.
fn names<'a>(addresses: impl Iterator<Item = &'a Address>) -> Vec<Name> {
    let mut seen: BTreeMap<Name, u32> = BTreeMap::new();
    addresses
        .filter_map(|address| {
            let name = Name::from_lossy(address.as_str())?;
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 { Some(name) } else { Name::from_lossy(&format!("{count}-{name}")) }
        })
        .collect()
}

async fn serve(loaded: Loaded, store: Store, environment: Environment) -> Outcome {
    let (site, _tasks) = start_site(loaded, store, environment)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|e| Exit::failed("start", e))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|e| Exit::failed("start", e))?;
    let outcome = tokio::select! {
        outcome = report(&site) => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    let again = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    site.stop(again).await;
    outcome
}

/// Prints a line whenever a service becomes reachable or is no longer; ends when the token is
/// refused.
async fn report(site: &Arc<Site>) -> Outcome {
    let mut changes = site.changes();
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let mut peer = None;
        for link in site.links() {
            let reason = link.status.conditions.get("Ready").map(|c| c.reason.clone());
            let failed = link.status.state == LinkState::Failed;
            if failed && reason.is_some_and(|r| FINAL.contains(&r.as_str())) {
                let why = link.status.reason.unwrap_or_else(|| "the token was refused".into());
                let exit = Exit::with_code(NOT_ALLOWED, "linking", why);
                return Err(match link.status.hint {
                    Some(hint) => exit.hint(&hint),
                    None => exit,
                });
            }
            if link.status.state == LinkState::Connected {
                peer = link.status.peer.map(|p| p.name);
            } else if let Some(why) = link.status.reason {
                say(&mut last, "link".into(), format!("not connected: {why}"));
            }
        }
        if let Some(peer) = &peer {
            say(&mut last, "link".into(), format!("connected to site {peer}"));
        }
        tell_services(site, peer.is_some(), &mut last);
        if changes.changed().await.is_err() {
            return Ok(());
        }
    }
}

fn tell_services(site: &Site, connected: bool, last: &mut BTreeMap<String, String>) {
    for connector in site.connectors() {
        let address = connector.spec.address.map(|a| a.to_string()).unwrap_or_default();
        let target = connector.spec.target;
        let line = if !connector.status.healthy {
            match connector.status.reason {
                Some(why) => format!("not reachable: {target}: {why}"),
                None => continue,
            }
        } else if connected && connector.status.advertised_to > 0 {
            format!("reachable in the network as {address}, at {target}")
        } else {
            continue;
        };
        say(last, format!("export {}", connector.name), line);
    }
    for listener in site.listeners() {
        let address = listener.spec.address.map(|a| a.to_string()).unwrap_or_default();
        let bound = listener.status.bound.unwrap_or_else(|| listener.spec.bind.to_string());
        let ready = listener.status.conditions.get("Ready");
        let line = match ready {
            Some(c) if c.reason == "BindFailed" => format!("not bound: {}", c.message),
            _ if listener.status.accepting => format!("{address} can be reached at {bound}"),
            _ => format!("{bound} waits: no site offers {address} yet"),
        };
        say(last, format!("import {}", listener.name), line);
    }
}

/// Prints a line about a subject unless it is what was last said of it.
#[expect(clippy::print_stdout, reason = "the command's answer")]
fn say(last: &mut BTreeMap<String, String>, subject: String, line: String) {
    if last.get(&subject) != Some(&line) {
        println!("vand: {subject}: {line}");
        last.insert(subject, line);
    }
}

fn read_token(path: &Path) -> std::io::Result<String> {
    /// The most bytes of a token's text.
    const MAX: u64 = 64 * 1024;
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().take(MAX).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(path)?.take(MAX).read_to_string(&mut text)?;
    }
    Ok(text)
}
