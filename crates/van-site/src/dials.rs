//! Whom links dial: by their tokens, or by what is kept of those.

use std::collections::BTreeMap;
use std::path::Path;

use van_model::api::{Severity, Source};
use van_model::{Cost, LinkSpec, TokenSpec};
use van_net::{DialSpec, Proxy};
use van_pki::Token;

use crate::blocking::blocking;
use crate::error::SiteError;
use crate::reconcile::{LinkRun, Wanted};
use crate::resources::LinkPeer;
use crate::site::Site;

/// The most bytes of a token's file.
const MAX_TOKEN_FILE: u64 = 64 * 1024;

/// Whom a link dials, and what is kept of it once it is dialled.
#[derive(Debug)]
pub(crate) struct Dial {
    pub(crate) spec: DialSpec,
    pub(crate) peer: LinkPeer,
}

/// What is done about the token files of links that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenFiles {
    ReadAgain,
    AsTheyWere,
}

impl Dial {
    /// Whether it has another token than the one that runs. One that is gone is no other.
    fn has_new_token(&self, old: Option<&Token>) -> bool {
        self.spec.token.is_some() && self.spec.token.as_ref() != old
    }
}

impl Site {
    /// Finds out, for each link that is not running as wanted, whom to dial. Changes nothing.
    pub(crate) fn prepare_links(
        &self,
        wanted: &BTreeMap<String, Wanted<LinkSpec>>,
        files: TokenFiles,
    ) -> Result<BTreeMap<String, Dial>, SiteError> {
        let mut dials = BTreeMap::new();
        for (name, wanted) in wanted {
            // The token of what runs as wanted, and whether another one could help it.
            let runs = {
                let running = self.running.lock();
                let run = running.links.get(name).filter(|run| run.wanted.spec == wanted.spec);
                run.map(|run| (run.dial.token.clone(), self.waits_for_token(run)))
            };
            if runs.as_ref().is_some_and(|(_, waits)| files == TokenFiles::AsTheyWere || !waits) {
                continue;
            }
            match blocking(|| self.dial_spec(&wanted.spec)) {
                Ok(dial) if runs.is_some_and(|(token, _)| !dial.has_new_token(token.as_ref())) => {}
                Ok(dial) => {
                    dials.insert(name.clone(), dial);
                }
                // What was made over the API was checked then, and what a cluster wants is told there: neither
                // may stop the rest.
                Err(_) if self.follows() => {}
                Err(error) if wanted.source != Source::File => {
                    let subject = format!("link/{name}");
                    self.event(Severity::Error, "BadToken", subject, error.to_string());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(dials)
    }

    /// Whether a new token in its file could help a link: one that is up needs none.
    fn waits_for_token(&self, run: &LinkRun) -> bool {
        run.wanted.source == Source::File
            && !matches!(run.wanted.spec.token, TokenSpec::Text(_))
            && self.links.to(&run.dial.peer).is_empty()
    }

    /// Whom a link dials: by its token, or by what is kept of it. Changes nothing.
    pub(crate) fn dial_spec(&self, spec: &LinkSpec) -> Result<Dial, SiteError> {
        let name = spec.name.as_str();
        let bad = |why: String| SiteError::Token { link: name.into(), why };
        let kept = self.link_peers.get().remove(name);
        let token = match &spec.token {
            TokenSpec::Text(text) => Some(Token::decode(text).map_err(|e| bad(e.to_string()))?),
            TokenSpec::File(path) => match read_token(path) {
                Ok(text) => Some(
                    Token::decode(&text).map_err(|e| bad(format!("{}: {e}", path.display())))?,
                ),
                Err(_) if kept.is_some() => None,
                Err(e) => {
                    return Err(bad(format!("the token {} can't be read: {e}", path.display())));
                }
            },
            TokenSpec::Credential(id) => match self.read_credential(id) {
                Ok(text) => {
                    let token = Token::decode(&text);
                    Some(token.map_err(|e| bad(format!("credential {id}: {e}")))?)
                }
                Err(_) if kept.is_some() => None,
                Err(why) => return Err(bad(why)),
            },
        };
        // The leader redeems it, and tells whom it leads to.
        let token = token.filter(|_| !self.follows());
        let peer = match (&token, kept) {
            (Some(token), _) => LinkPeer {
                peer: token.issuer,
                endpoints: token.endpoints.clone(),
                cost: token.cost,
            },
            (None, Some(kept)) => kept,
            (None, None) => return Err(bad("there is neither a token nor a known peer".into())),
        };
        if peer.peer == self.own_id() {
            return Err(bad(
                "the token was made by this very site; make it at the other site".into()
            ));
        }
        let proxy = match &spec.proxy {
            Some(url) => Some(url.parse::<Proxy>().map_err(|e| bad(e.to_string()))?),
            None => self.environment.proxy.clone(),
        };
        let spec = DialSpec {
            name: name.into(),
            peer: peer.peer,
            endpoints: peer.endpoints.clone(),
            cost: spec.cost.or(peer.cost).unwrap_or(Cost::MIN),
            proxy,
            token,
        };
        Ok(Dial { spec, peer })
    }

    /// Keeps whom a link dials, so that it outlives its token. The link works without that, too.
    pub(crate) fn keep_link_peer(&self, Dial { spec: DialSpec { name, .. }, peer }: &Dial) {
        if self.link_peers.get().get(name) == Some(peer) {
            return;
        }
        let kept =
            self.link_peers.change(&self.store, |kept| kept.insert(name.clone(), peer.clone()));
        if let Err(error) = kept {
            let text = format!("the peer of link {name} is not kept, keep its token: {error}");
            self.event(Severity::Warning, "StateNotWritten", format!("link/{name}"), text);
            *self.state_problem.lock() = Some(error.to_string());
        }
    }

    /// Forgets whom links dialled that nobody wants any more. They do no harm where that fails.
    pub(crate) fn forget_link_peers(&self, wanted: &BTreeMap<String, Wanted<LinkSpec>>) {
        if self.link_peers.get().keys().all(|name| wanted.contains_key(name)) {
            return;
        }
        let kept = self
            .link_peers
            .change(&self.store, |kept| kept.retain(|name, _| wanted.contains_key(name)));
        if let Err(error) = kept {
            tracing::warn!(%error, "peers of removed links stay in the state directory");
        }
    }

    /// The text of a credential, or a sentence that says what is missing.
    fn read_credential(&self, id: &str) -> Result<String, String> {
        let hint = format!("LoadCredential={id}:/path in the unit gives it: systemctl edit vand");
        let Some(folder) = &self.environment.credentials else {
            return Err(format!("there is no credential {id}: systemd gave none; {hint}"));
        };
        read_token(&folder.join(id))
            .map_err(|error| format!("the credential {id} can't be read: {error}; {hint}"))
    }
}

fn read_token(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path)?.take(MAX_TOKEN_FILE).read_to_string(&mut text)?;
    Ok(text)
}
