//! Objects that vand makes: sent, and deleted when nothing wants them any more.

use std::net::IpAddr;

use kube::Error;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use tracing::warn;

use super::{Controller, Memory, timely};
use crate::index::{Index, Kind};
use crate::outbox::{self, Act, MANAGER};
use crate::plan::Made;
use crate::watches::resource;

impl Controller {
    /// Makes and deletes objects.
    pub(super) async fn make(&self, index: &Index, memory: &mut Memory) -> bool {
        if memory.plan.site.is_none() {
            return true;
        }
        let own = index.labelled().with(&self.config.own_labels);
        let pods: Vec<IpAddr> = own
            .iter()
            .filter(|pod| pod.is_ready && !pod.is_ending)
            .filter_map(|pod| pod.ip)
            .collect();
        let mut done = true;
        for act in outbox::due(&memory.plan, index, &self.config.own_labels, &pods) {
            if let Err((what, error)) = self.act(&act).await {
                warn!(what, error = %error, "it is tried again");
                done = false;
            }
        }
        done & self.make_ways(index, memory).await
    }

    /// Makes what leads other sites here, and deletes what does not any more.
    async fn make_ways(&self, index: &Index, memory: &mut Memory) -> bool {
        let mut done = true;
        // Who deletes one by hand gets it back.
        memory
            .made
            .retain(|made| made.resource.2 != "Service" || index.service(&made.name).is_some());
        for made in memory.plan.made.clone() {
            if memory.made.contains(&made) {
                continue;
            }
            let params = PatchParams::apply(MANAGER).force();
            let (api, patch) = (self.api_of(&made), Patch::Apply(&made.object));
            match timely(api.patch(&made.name, &params, &patch)).await {
                Ok(_) => {
                    memory
                        .made
                        .retain(|old| (old.resource, &old.name) != (made.resource, &made.name));
                    memory.made.push(made);
                }
                Err(error) => {
                    warn!(kind = made.resource.2, name = made.name, %error, "it can't be made");
                    done = false;
                }
            }
        }
        let wanted = &memory.plan.made;
        let is_wanted = |made: &Made| {
            wanted.iter().any(|w| (w.resource, &w.name) == (made.resource, &made.name))
        };
        let (kept, gone): (Vec<_>, Vec<_>) = memory.made.drain(..).partition(is_wanted);
        memory.made = kept;
        for made in gone {
            let sent =
                timely(self.api_of(&made).delete(&made.name, &DeleteParams::default())).await;
            if let Err(error) = sent
                && !matches!(&error, Error::Api(status) if status.code == 404)
            {
                warn!(kind = made.resource.2, name = made.name, %error, "it can't be deleted");
                memory.made.push(made);
                done = false;
            }
        }
        done
    }

    fn api_of(&self, made: &Made) -> Api<DynamicObject> {
        let (group, version, kind, plural) = made.resource;
        let of = kube::api::GroupVersionKind::gvk(group, version, kind);
        let resource = kube::api::ApiResource::from_gvk_with_plural(&of, plural);
        Api::namespaced_with(self.client.clone(), &self.config.namespace, &resource)
    }

    pub(super) fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.config.namespace, &resource(kind))
    }

    async fn act(&self, act: &Act) -> Result<(), (String, Error)> {
        match act {
            Act::Apply { kind, name, object } => {
                let params = PatchParams::apply(MANAGER).force();
                let api = self.api(*kind);
                timely(api.patch(name, &params, &Patch::Apply(object)))
                    .await
                    .map(drop)
                    .map_err(|e| (format!("{} {name} can't be made", kind.as_str()), e))
            }
            Act::Delete { kind, name } => {
                let api = self.api(*kind);
                match timely(api.delete(name, &DeleteParams::default())).await {
                    Err(Error::Api(status)) if status.code == 404 => Ok(()),
                    other => other
                        .map(drop)
                        .map_err(|e| (format!("{} {name} can't be deleted", kind.as_str()), e)),
                }
            }
        }
    }
}
