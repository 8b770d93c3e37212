//! The site's state in a Secret, so that a pod that is made anew is the same site.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Error};
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
}

impl StateSecret {
    /// The Secret of this name.
    pub fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.into() }
    }

    /// What it holds; `None`: there is no such Secret.
    ///
    /// # Errors
    /// The API server can't be asked, or refuses.
    pub async fn load(&self) -> Result<Option<Documents>, Error> {
        let found = timely(self.api.get_opt(&self.name)).await?;
        let documents = |secret: Secret| {
            let data = secret.data.unwrap_or_default();
            data.into_iter().map(|(name, bytes)| (name, bytes.0)).collect()
        };
        Ok(found.map(documents))
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

    /// Writes it.
    ///
    /// # Errors
    /// The API server can't be asked, or refuses.
    pub async fn save(&self, documents: &Documents) -> Result<(), Error> {
        let params = PatchParams::apply(MANAGER).force();
        let object = self.object(documents);
        timely(self.api.patch(&self.name, &params, &Patch::Apply(object))).await.map(drop)
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
