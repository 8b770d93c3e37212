//! Tokens of AccessGrants: issued into Secrets, and revoked when their grants are gone.

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};

use super::{Controller, Host, Memory, timely};
use crate::index::{Key, Kind};
use crate::outbox::{MANAGER, token_secret};
use crate::plan::{Verdict, WantedGrant};

impl Controller {
    /// Issues tokens into Secrets, and revokes those whose grants are gone.
    pub(super) async fn grant(&self, host: &impl Host, memory: &mut Memory) -> bool {
        if memory.plan.site.is_none() {
            return true;
        }
        let issued = host.tokens();
        for name in issued.keys().filter(|name| !memory.plan.grants.contains_key(*name)) {
            host.revoke(name);
        }
        memory.secrets_written.retain(|name| memory.plan.grants.contains_key(name));
        let mut done = true;
        for (name, wanted) in memory.plan.grants.clone() {
            if memory.secrets_written.contains(&name) {
                continue;
            }
            let verdict =
                match self.grant_one(host, &name, &wanted, issued.contains_key(&name)).await {
                    Ok(()) => {
                        memory.secrets_written.insert(name);
                        continue;
                    }
                    Err(verdict) => verdict,
                };
            done &= matches!(verdict, Verdict::Refused(..));
            memory.plan.verdicts.insert(Key::new(Kind::AccessGrant, &name), verdict);
        }
        done
    }

    /// Has the Secret of a grant hold its token; the error is what is to be said of the grant.
    async fn grant_one(
        &self,
        host: &impl Host,
        name: &str,
        wanted: &WantedGrant,
        was_issued: bool,
    ) -> Result<(), Verdict> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.config.namespace);
        let secret = &wanted.secret;
        let there = timely(secrets.get_opt(secret)).await.map_err(|error| {
            Verdict::Waiting("NoSecret", format!("the Secret {secret} can't be read: {error}"))
        })?;
        let is_ours = |there: &Secret| {
            let owners = there.metadata.owner_references.as_deref().unwrap_or_default();
            owners.iter().any(|owner| owner.uid == wanted.owner.uid)
        };
        match there.as_ref().map(is_ours) {
            Some(false) => {
                let why = format!(
                    "there is a Secret {secret} that is not the grant's: set spec.secret, or delete it"
                );
                return Err(Verdict::Refused("SecretExists", why));
            }
            Some(true) if was_issued => return Ok(()),
            // Its token was told to nobody, or is not known any more.
            _ if was_issued => host.revoke(name),
            _ => {}
        }
        let token = host.issue(name, wanted).map_err(|why| Verdict::Waiting("NoToken", why))?;
        let object = token_secret(secret, &wanted.owner, &token);
        let params = PatchParams::apply(MANAGER).force();
        match timely(secrets.patch(secret, &params, &Patch::Apply(object))).await {
            Ok(_) => Ok(()),
            Err(error) => {
                host.revoke(name);
                let why = format!("the Secret {secret} can't be written: {error}");
                Err(Verdict::Waiting("NoSecret", why))
            }
        }
    }
}
