//! Links of Link and AccessToken objects, and of Secrets that are labelled.

use std::collections::BTreeSet;

use van_crd::{AccessTokenSpec, LinkSpec};

use van_model::TokenSpec;

use super::{Context, Plan, Verdict, secret_file, spec, token_of};
use crate::index::{Index, Key, Kind};

impl Plan {
    pub(super) fn add_links(&mut self, index: &Index, context: &Context) {
        let mut names = BTreeSet::new();
        for object in index.custom(Kind::Link).filter(|object| !object.meta.is_deleted) {
            let key = Key::new(Kind::Link, &object.meta.name);
            names.insert(object.meta.name.clone());
            let verdict = match spec::<LinkSpec>(object) {
                Err(why) => Verdict::invalid(&why),
                Ok(spec) => {
                    let secret = &spec.token_secret;
                    self.tokens.insert((secret.name.clone(), secret.key.clone()));
                    match token_of(context, secret) {
                        // It was redeemed: the token is needed no more.
                        Err(_) if context.linked.contains(&object.meta.name) => {
                            let mut link = spec.to_spec(&object.meta.name, String::new());
                            if let Ok(link) = &mut link {
                                let file = secret_file(context, &secret.name, &secret.key);
                                link.token = TokenSpec::File(file.into());
                            }
                            self.add_link(link)
                        }
                        Err(why) => Verdict::Waiting("NoToken", why),
                        Ok(token) => self.add_link(spec.to_spec(&object.meta.name, token)),
                    }
                }
            };
            self.verdicts.insert(key, verdict);
        }
        for object in index.custom(Kind::AccessToken).filter(|object| !object.meta.is_deleted) {
            let key = Key::new(Kind::AccessToken, &object.meta.name);
            let verdict = if names.contains(&object.meta.name) {
                let why = format!("there is a Link {} already: rename one", object.meta.name);
                Verdict::Refused("Conflict", why)
            } else {
                match spec::<AccessTokenSpec>(object) {
                    Err(why) => Verdict::invalid(&why),
                    Ok(spec) => self.add_link(spec.to_spec(&object.meta.name)),
                }
            };
            names.insert(object.meta.name.clone());
            self.verdicts.insert(key, verdict);
        }
        for (name, token) in &context.link_secrets {
            let verdict = match token {
                _ if names.contains(name) => {
                    let why = format!("there is a Link or AccessToken {name} already: rename one");
                    Verdict::Refused("Conflict", why)
                }
                Err(why) => Verdict::Refused("NoToken", why.clone()),
                Ok(token) => self.add_link(LinkSpec::default().to_spec(name, token.clone())),
            };
            self.verdicts.insert(Key::new(Kind::Secret, name), verdict);
        }
    }

    fn add_link(&mut self, link: Result<van_model::LinkSpec, van_crd::Invalid>) -> Verdict {
        match link {
            Ok(link) => {
                self.links.push(link);
                Verdict::Accepted
            }
            Err(why) => Verdict::invalid(&why),
        }
    }
}
