//! Connectors of workloads of other namespaces, where both sides agree.

use van_crd::{AttachedConnectorBindingSpec, AttachedConnectorSpec};

use super::{Context, Plan, Verdict, spec};
use crate::index::{Index, Key, Kind};

impl Plan {
    pub(super) fn add_attached(&mut self, index: &Index, context: &Context) {
        let bindings = index.custom(Kind::AttachedConnectorBinding);
        for object in bindings.filter(|object| !object.meta.is_deleted) {
            let key = Key::new(Kind::AttachedConnectorBinding, &object.meta.name);
            let verdict = match spec::<AttachedConnectorBindingSpec>(object) {
                Err(why) => Verdict::invalid(&why),
                Ok(binding) => self.attach(&key, &binding, context),
            };
            self.verdicts.insert(key, verdict);
        }
    }

    fn attach(
        &mut self,
        key: &Key,
        binding: &AttachedConnectorBindingSpec,
        context: &Context,
    ) -> Verdict {
        let namespace = match binding.namespace(&context.namespace) {
            Ok(namespace) => namespace,
            Err(why) => return Verdict::invalid(&why),
        };
        self.neighbours.insert(namespace.to_owned());
        let neighbour = context.neighbours.get(namespace);
        let trouble = match neighbour {
            None => Some("it is being read".to_owned()),
            Some(known) => known.trouble.clone(),
        };
        let known = match (neighbour, trouble) {
            (Some(known), None) => known,
            (_, trouble) => {
                let why = format!(
                    "namespace {namespace} is not known: {}; the right to see it comes from a Role there, \
                     see k8s/attached",
                    trouble.unwrap_or_default()
                );
                return Verdict::Waiting("NotVisible", why);
            }
        };
        let there = Key::new(Kind::AttachedConnector, &key.name);
        let Some(object) = known.index.get(&there).filter(|object| !object.meta.is_deleted) else {
            let why = format!("namespace {namespace} has no AttachedConnector {}", key.name);
            return Verdict::Waiting("NotConsented", why);
        };
        let attached = match spec::<AttachedConnectorSpec>(object) {
            Ok(attached) => attached,
            Err(why) => {
                let why = format!("the AttachedConnector in {namespace}: {why}");
                return Verdict::Waiting("NotConsented", why);
            }
        };
        if attached.site_namespace != context.namespace {
            let why = format!(
                "the AttachedConnector in {namespace} is for the site of namespace {}, not of this one",
                attached.site_namespace
            );
            return Verdict::Waiting("NotConsented", why);
        }
        let wanted = binding.with(attached);
        self.offer(key, &wanted, &known.index, &known.index.labelled(), context)
    }
}
