//! Admitting newcomers, and keeping the issuers that admitted this site.

use tracing::error;
use van_model::SiteId;
use van_model::api::Severity;
use van_model::status::SiteRef;
use van_net::{Admission, JoinRefusal, JoinRequest, Joined, Pin};
use van_pki::{CertificateDer, PeerIdentity, Voucher};
use van_store::StoreError;

use crate::blocking::blocking;
use crate::peers::PinnedPeer;
use crate::site::Site;

/// Why an organisation's site does not trust another.
const NOT_ADMITTED: &str = "the organisation's bundle does not admit the other site";

impl Site {
    /// Decides on a newcomer: its secret counts once, then it is pinned.
    pub(crate) fn admit(
        &self,
        joiner: &PeerIdentity,
        request: &JoinRequest,
    ) -> Result<Admission, JoinRefusal> {
        blocking(|| self.admit_now(joiner, request))
    }

    fn admit_now(
        &self,
        joiner: &PeerIdentity,
        request: &JoinRequest,
    ) -> Result<Admission, JoinRefusal> {
        if joiner.id == self.own_id() {
            return Err(JoinRefusal::Refused);
        }
        if !self.peers.bundle_admits(&joiner.authority) {
            return Err(JoinRefusal::NotOfTheBundle);
        }
        let _trust = self.trust.lock();
        let revoked = self.peers.get(&joiner.id).is_some_and(|p| p.revoked);
        let by = SiteRef { id: joiner.id, name: request.name.clone() };
        let unavailable = |e: StoreError| {
            error!(error = %e, "a newcomer can't be admitted");
            JoinRefusal::Unavailable
        };
        let token = self
            .tokens
            .redeem(&self.store, &request.secret, &by)
            .map_err(unavailable)?
            .ok_or(if revoked { JoinRefusal::Revoked } else { JoinRefusal::Refused })?;
        let mut pin = PinnedPeer::new(request.name.clone(), &joiner.authority, request.ephemeral);
        self.peers
            .change(&self.store, |pins| {
                // Its own voucher for this site stays where it had given one.
                if let Some(old) = pins.get(&joiner.id) {
                    pin.voucher = old.voucher.clone();
                    pin.revocations = old.revocations;
                }
                pin.set_revoked(false);
                pins.insert(joiner.id, pin);
            })
            .map_err(unavailable)?;
        self.event(
            Severity::Info,
            "TokenRedeemed",
            format!("token/{token}"),
            format!("site {} ({}) redeemed token {token}", request.name, joiner.id.short()),
        );
        if revoked {
            self.told_of_trust(&request.name, joiner.id);
        }
        self.mailbox.ring();
        let voucher = Voucher::issue(&self.own.authority, joiner.id);
        Ok(Admission { voucher, name: self.name() })
    }

    /// Ends the trust in a peer for good: only a token that is made later admits it again. Returns
    /// its name.
    pub(crate) fn revoke(&self, peer: SiteId) -> Result<String, StoreError> {
        blocking(|| {
            let _trust = self.trust.lock();
            self.tokens.bar(&self.store, peer)?;
            let name = self.peers.change(&self.store, |pins| {
                let pin = pins.get_mut(&peer)?;
                pin.set_revoked(true);
                Some(pin.name.clone())
            })?;
            Ok(name.unwrap_or_default())
        })
    }

    /// Ends this site's own revocation of a peer, whose authority is still pinned.
    pub(crate) fn trust_again(&self, peer: SiteId) -> Result<(), StoreError> {
        blocking(|| {
            let _trust = self.trust.lock();
            let name = self.peers.change(&self.store, |pins| {
                let pin = pins.get_mut(&peer).filter(|pin| pin.revoked)?;
                pin.set_revoked(false);
                Some(pin.name.clone())
            })?;
            if let Some(name) = name {
                self.told_of_trust(&name, peer);
                self.mailbox.ring();
            }
            Ok(())
        })
    }

    fn told_of_trust(&self, name: &str, peer: SiteId) {
        let text = format!("site {name} ({}) is trusted again", peer.short());
        self.event(Severity::Warning, "PeerTrustedAgain", format!("site/{peer}"), text);
    }

    /// The peer that a user means: by id, a prefix of it, or name.
    pub(crate) fn find_peer(&self, text: &str) -> Option<SiteId> {
        let peers = self.peers.all();
        if let Ok(id) = text.parse::<SiteId>() {
            return peers.contains_key(&id).then_some(id);
        }
        let mut fits = peers.iter().filter(|(id, pin)| pin.name == text || id.has_prefix(text));
        match (fits.next(), fits.next()) {
            (Some((id, _)), None) => Some(*id),
            _ => None,
        }
    }
}

impl Pin for Site {
    fn may_trust(&self, authority: &CertificateDer<'_>) -> Result<(), String> {
        let admitted = self.peers.bundle_admits(authority);
        admitted.then_some(()).ok_or_else(|| NOT_ADMITTED.to_owned())
    }

    fn is_revoked(&self, peer: &SiteId) -> bool {
        self.peers.get(peer).is_some_and(|pin| pin.revoked)
    }

    fn pin(&self, link: &str, joined: &Joined) -> Result<(), String> {
        self.may_trust(&joined.authority)?;
        joined
            .admission
            .voucher
            .verify(&joined.authority)
            .map_err(|e| format!("the issuer's voucher is not valid: {e}"))?;
        let mut pin = PinnedPeer::new(joined.admission.name.clone(), &joined.authority, false);
        pin.voucher = Some(joined.admission.voucher.clone());
        let kept = self
            .peers
            .change(&self.store, |pins| {
                let old = pins.get(&joined.issuer);
                let revoked = old.is_some_and(|old| old.revoked);
                if !revoked {
                    pin.revocations = old.map_or(0, |old| old.revocations);
                    pins.insert(joined.issuer, pin);
                }
                !revoked
            })
            .map_err(|e| e.to_string())?;
        if !kept {
            return Err("this site has revoked the issuer; 'vanctl peer trust' ends that".into());
        }
        self.event(
            Severity::Info,
            "TokenAccepted",
            format!("link/{link}"),
            format!(
                "site {} ({}) admitted this site",
                joined.admission.name,
                joined.issuer.short()
            ),
        );
        Ok(())
    }
}
