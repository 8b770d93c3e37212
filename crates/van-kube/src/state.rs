//! The site's state in a Secret, so that a pod that is made anew is the same site.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, pin_mut};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Client, Error};
use parking_lot::Mutex;
use serde_json::json;

use crate::controller::timely;
use crate::outbox::{MANAGER, ROLE};

/// A site's documents by file name, as a Secret keeps them.
pub type Documents = BTreeMap<String, Vec<u8>>;

/// The Secret with a site's state.
#[derive(Clone)]
pub struct StateSecret {
    api: Api<Secret>,
    name: String,
    /// That of what was loaded or saved last.
    version: Arc<Mutex<Option<String>>>,
}

impl StateSecret {
    /// The Secret of this name.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.into(), version: Arc::default() }
    }

    /// What it holds; `None`: there is no such Secret.
    ///
    /// # Errors
    /// The API server can't be asked, or refuses.
    pub async fn load(&self) -> Result<Option<Documents>, Error> {
        let found = timely(self.api.get_opt(&self.name)).await?;
        let version = found.as_ref().and_then(|secret| secret.metadata.resource_version.clone());
        *self.version.lock() = version;
        Ok(found.map(documents))
    }

    /// Tells what another pod wrote, whenever it did, for ever.
    pub async fn follow(&self, mut take: impl FnMut(Documents)) {
        let only = watcher::Config::default().fields(&format!("metadata.name={}", self.name));
        let stream = watcher(self.api.clone(), only).default_backoff();
        pin_mut!(stream);
        while let Some(event) = stream.next().await {
            if let Ok(watcher::Event::InitApply(secret) | watcher::Event::Apply(secret)) = event {
                take(documents(secret));
            }
        }
    }

    /// Makes it; `false`: another was faster.
    ///
    /// # Errors
    /// The API server can't be asked, or refuses.
    pub async fn create(&self, documents: &Documents) -> Result<bool, Error> {
        let secret: Secret =
            serde_json::from_value(self.object(documents)).map_err(Error::SerdeError)?;
        match timely(self.api.create(&PostParams::default(), &secret)).await {
            Err(Error::Api(status)) if status.code == 409 => Ok(false),
            other => other.map(|_| true),
        }
    }

    /// Writes it, unless another pod did since it was loaded or saved here; returns whether it was written.
    ///
    /// # Errors
    /// The API server can't be asked, or refuses.
    pub async fn save(&self, documents: &Documents) -> Result<bool, Error> {
        let params = PatchParams::apply(MANAGER).force();
        let mut object = self.object(documents);
        let known = self.version.lock().clone();
        if let Some(version) = known {
            object["metadata"]["resourceVersion"] = version.into();
        }
        match timely(self.api.patch(&self.name, &params, &Patch::Apply(object))).await {
            Ok(written) => {
                *self.version.lock() = written.metadata.resource_version;
                Ok(true)
            }
            Err(Error::Api(status)) if status.code == 409 => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn object(&self, documents: &Documents) -> serde_json::Value {
        let data: BTreeMap<&String, ByteString> =
            documents.iter().map(|(name, bytes)| (name, ByteString(bytes.clone()))).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": self.name,
                "labels": { "app.kubernetes.io/managed-by": MANAGER, ROLE: "state" },
            },
            "type": "vand.dev/state",
            "data": data,
        })
    }
}

fn documents(secret: Secret) -> Documents {
    let data = secret.data.unwrap_or_default();
    data.into_iter().map(|(name, bytes)| (name, bytes.0)).collect()
}
