//! What came of each object, written into its status and told as events of the cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Error;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use serde_json::{Value, json};
use tracing::{info, warn};

use super::{Controller, Host, Issued, Memory, timely};
use crate::index::{Index, Key, Kind};
use crate::outbox::MANAGER;
use crate::plan::Verdict;
use crate::status::{Running, same, status};

impl Controller {
    /// Writes down what came of each object, where it is not written yet.
    pub(super) async fn tell(&self, host: &impl Host, index: &Index, memory: &mut Memory) -> bool {
        let mut running = host.running(&memory.plan);
        let issued = host.tokens();
        for (name, wanted) in &memory.plan.grants {
            if let Some(issued) = issued.get(name) {
                running.insert(Key::new(Kind::AccessGrant, name), granted(issued, &wanted.secret));
            }
        }
        let now = jiff::Timestamp::now();
        let mut done = true;
        for (key, verdict) in &memory.plan.verdicts {
            self.record(key, verdict, index, &mut memory.told).await;
            let Some(object) = index.get(key).filter(|_| key.kind.is_custom()) else { continue };
            let verdict = match (&memory.applied, verdict) {
                (Some(Err(why)), Verdict::Accepted) => Verdict::Waiting("NotApplied", why.clone()),
                _ => verdict.clone(),
            };
            let wanted = status(object, &verdict, running.get(key), now);
            if same(&wanted, &object.status) {
                continue;
            }
            if let Err(error) = self.write_status(key, wanted).await {
                warn!(%key, %error, "the status can't be written; it is tried again");
                done = false;
            }
        }
        memory.told.retain(|key, _| memory.plan.verdicts.contains_key(key));
        done
    }

    async fn write_status(&self, key: &Key, status: Value) -> Result<(), Error> {
        let (group, version, _) = key.kind.resource();
        let object = json!({
            "apiVersion": format!("{group}/{version}"),
            "kind": key.kind.as_str(),
            "metadata": { "name": key.name },
            "status": status,
        });
        let params = PatchParams::apply(MANAGER).force();
        let api = self.api(key.kind);
        match timely(api.patch_status(&key.name, &params, &Patch::Apply(object))).await {
            // It was deleted meanwhile.
            Err(Error::Api(status)) if status.code == 404 => Ok(()),
            other => other.map(drop),
        }
    }

    /// Tells of an object's change from good to bad, and back, as an event of the cluster.
    async fn record(
        &self,
        key: &Key,
        verdict: &Verdict,
        index: &Index,
        told: &mut BTreeMap<Key, Verdict>,
    ) {
        let before = told.insert(key.clone(), verdict.clone());
        let (kind, reason, note) = match (verdict, before) {
            (now, Some(before)) if *now == before => return,
            (Verdict::Accepted, None) => return,
            (Verdict::Accepted, Some(_)) => {
                (EventType::Normal, "Accepted", "it is used now".into())
            }
            (Verdict::Refused(reason, why) | Verdict::Waiting(reason, why), _) => {
                (EventType::Warning, *reason, why.clone())
            }
        };
        info!(object = %key, reason, note, "told the cluster");
        let event = Event {
            type_: kind,
            reason: reason.into(),
            note: Some(note.chars().take(1000).collect()),
            action: "Reconcile".into(),
            secondary: None,
        };
        let (group, version, _) = key.kind.resource();
        let reference = ObjectReference {
            api_version: Some(if group.is_empty() {
                version.into()
            } else {
                format!("{group}/{version}")
            }),
            kind: Some(key.kind.as_str().into()),
            name: Some(key.name.clone()),
            namespace: Some(self.config.namespace.clone()),
            uid: uid(key, index),
            ..ObjectReference::default()
        };
        if let Err(error) = timely(self.recorder.publish(&event, &reference)).await {
            warn!(%error, "an event can't be written");
        }
    }
}

fn granted(issued: &Issued, secret: &str) -> Running {
    let (reason, message) = match (issued.is_usable, issued.redeemed_by.len()) {
        (true, _) => ("Usable", String::new()),
        (false, 0) => ("Expired", "it has expired: delete it, and apply another".into()),
        (false, n) => ("Used", format!("{n} sites redeemed it, or it has expired")),
    };
    let fields = json!({
        "secret": secret,
        "expires": issued.expires,
        "redeemedBy": issued.redeemed_by,
    });
    let Value::Object(fields) = fields else { return Running::default() };
    Running { is_ready: issued.is_usable, reason: reason.into(), message, fields }
}

fn uid(key: &Key, index: &Index) -> Option<String> {
    let meta = match key.kind {
        Kind::Service => &index.service(&key.name)?.meta,
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet => &index.workload(key)?.meta,
        _ => &index.get(key)?.meta,
    };
    Some(meta.uid.clone())
}
