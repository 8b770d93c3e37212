//! Secrets that objects name: tokens of links, and files of TLS.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::{AbortHandle, JoinSet};
use tracing::warn;

/// The most bytes of a key that is taken for a token.
const MAX_TOKEN: usize = 64 * 1024;

/// The label of Secrets whose tokens make links by themselves.
const LINK: &str = "vand.dev/link";

/// The key of such a Secret.
const TOKEN: &str = "token";

/// The Secrets that are needed, each followed by a watch of its own: no right to list all is needed.
pub(crate) struct Secrets {
    client: Client,
    namespace: String,
    folder: PathBuf,
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    /// All end with this.
    tasks: JoinSet<()>,
    followed: BTreeMap<String, Followed>,
    as_files: BTreeSet<String>,
    as_tokens: BTreeSet<(String, String)>,
    /// Those that make links, with what they hold.
    links: BTreeMap<String, Keys>,
}

struct Followed {
    task: AbortHandle,
    /// What is known: its keys, `None` where there is no such Secret, or why it can't be read.
    known: Option<Result<Option<Keys>, String>>,
}

type Keys = BTreeMap<String, Vec<u8>>;

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Secrets {
    pub(crate) fn new(client: Client, namespace: &str, folder: PathBuf) -> Arc<Self> {
        let (inner, changed) = (Mutex::default(), Notify::new());
        let secrets =
            Arc::new(Self { client, namespace: namespace.into(), folder, inner, changed });
        let links = secrets.clone().watch_links();
        secrets.inner.lock().tasks.spawn(links);
        secrets
    }

    /// The Secrets that make links by themselves: each with its token, or why it has none.
    pub(crate) fn links(&self) -> BTreeMap<String, Result<String, String>> {
        let inner = self.inner.lock();
        inner.links.iter().map(|(name, keys)| (name.clone(), token(name, TOKEN, keys))).collect()
    }

    async fn watch_links(self: Arc<Self>) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let stream = watcher(api, watcher::Config::default().labels(LINK)).default_backoff();
        pin_mut!(stream);
        let mut listed = BTreeMap::new();
        while let Some(event) = stream.next().await {
            // What was read stays while the API server is away.
            let Ok(event) = event else { continue };
            let mut inner = self.inner.lock();
            let links = &mut inner.links;
            match event {
                watcher::Event::Init => listed.clear(),
                watcher::Event::InitApply(secret) => {
                    listed.insert(secret.metadata.name.clone().unwrap_or_default(), keys(secret));
                }
                watcher::Event::InitDone => *links = std::mem::take(&mut listed),
                watcher::Event::Apply(secret) => {
                    links.insert(secret.metadata.name.clone().unwrap_or_default(), keys(secret));
                }
                watcher::Event::Delete(secret) => {
                    links.remove(secret.metadata.name.as_deref().unwrap_or_default());
                }
            }
            drop(inner);
            self.changed.notify_one();
        }
    }

    /// Follows these Secrets and no others: some as files, of some a key as a token.
    pub(crate) fn follow(
        self: &Arc<Self>,
        files: &BTreeSet<String>,
        tokens: &BTreeSet<(String, String)>,
    ) {
        let inner = &mut *self.inner.lock();
        while inner.tasks.try_join_next().is_some() {}
        inner.as_files.clone_from(files);
        inner.as_tokens.clone_from(tokens);
        let names: BTreeSet<&String> =
            files.iter().chain(tokens.iter().map(|(name, _)| name)).collect();
        inner.followed.retain(|name, _| names.contains(name));
        for name in names {
            if !inner.followed.contains_key(name) {
                let task = inner.tasks.spawn(self.clone().watch(name.clone()));
                inner.followed.insert(name.clone(), Followed { task, known: None });
            }
        }
    }

    /// The tokens that are asked for: each, or why there is none.
    pub(crate) fn tokens(&self) -> BTreeMap<(String, String), Result<String, String>> {
        let inner = self.inner.lock();
        let read =
            |(name, key): &(String, String)| match inner.followed.get(name)?.known.as_ref()? {
                Err(why) => Some(Err(why.clone())),
                Ok(None) => Some(Err(format!("there is no Secret {name} in this namespace"))),
                Ok(Some(keys)) => Some(token(name, key, keys)),
            };
        inner.as_tokens.iter().filter_map(|of| Some((of.clone(), read(of)?))).collect()
    }

    /// Waits until one of them changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    async fn watch(self: Arc<Self>, name: String) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let stream = watcher(api, only).default_backoff();
        pin_mut!(stream);
        let mut listed = None;
        while let Some(event) = stream.next().await {
            match event {
                Ok(watcher::Event::Init) => listed = None,
                Ok(watcher::Event::InitApply(secret)) => listed = Some(keys(secret)),
                Ok(watcher::Event::InitDone) => self.know(&name, Ok(listed.take())),
                Ok(watcher::Event::Apply(secret)) => self.know(&name, Ok(Some(keys(secret)))),
                Ok(watcher::Event::Delete(_)) => self.know(&name, Ok(None)),
                Err(error) => {
                    let known =
                        self.inner.lock().followed.get(&name).is_some_and(|f| f.known.is_some());
                    // What was read stays while the API server is away.
                    if !known {
                        self.know(&name, Err(format!("the Secret {name} can't be read: {error}")));
                    }
                }
            }
        }
    }

    fn know(&self, name: &str, keys: Result<Option<Keys>, String>) {
        let mut inner = self.inner.lock();
        if inner.as_files.contains(name)
            && let Ok(Some(keys)) = &keys
            && let Err(error) = write(&self.folder, name, keys)
        {
            warn!(secret = name, %error, "a Secret can't be kept as files");
        }
        if let Some(followed) = inner.followed.get_mut(name) {
            followed.known = Some(keys);
        }
        drop(inner);
        self.changed.notify_one();
    }
}

fn keys(secret: Secret) -> Keys {
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

fn token(name: &str, key: &str, keys: &Keys) -> Result<String, String> {
    let Some(value) = keys.get(key) else {
        let there: Vec<_> = keys.keys().map(String::as_str).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        return Err(format!("the Secret {name} has no key {key:?}; it has {there}"));
    };
    let text = std::str::from_utf8(value).ok().filter(|_| value.len() <= MAX_TOKEN);
    text.map(|text| text.trim().to_owned())
        .ok_or_else(|| format!("the key {key:?} of the Secret {name} holds no token"))
}

/// Writes each key as a file that only this user reads; a reader finds the old or the new.
fn write(folder: &Path, name: &str, keys: &Keys) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    let folder = folder.join(name);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    for (key, value) in keys {
        let fresh = folder.join(format!(".{key}.new"));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        io::Write::write_all(&mut file, value)?;
        std::fs::rename(&fresh, folder.join(key))?;
    }
    Ok(())
}
