//! Making a token, and the link port to which it leads.

use jiff::SignedDuration;
use van_model::api::{Severity, TokenCreate, TokenCreated};
use van_model::{ApiError, ErrorCode, HostPort};
use van_pki::{Secret, Token};

use crate::api::{not_found, state};
use crate::clock;
use crate::site::Site;
use crate::tokens::{AddError, IssuedToken};

/// A token's life unless said otherwise.
const TOKEN_SECONDS: u64 = 900;

/// A year: longer is no token but a key.
const MAX_TOKEN_SECONDS: u64 = 31_536_000;

const MAX_TOKEN_USES: u32 = 10_000;

impl Site {
    /// Makes a token and keeps what is needed to redeem it.
    ///
    /// # Errors
    /// Numbers out of range, a name that is taken, a site that accepts no links, a disk that is full.
    pub fn issue_token(&self, create: TokenCreate) -> Result<TokenCreated, ApiError> {
        let invalid = |message: &str| ApiError::new(ErrorCode::Invalid, message);
        let seconds = create.spec.expires_seconds.unwrap_or(TOKEN_SECONDS);
        if !(1..=MAX_TOKEN_SECONDS).contains(&seconds) {
            return Err(invalid("a token's life is 1 second to 365 days"));
        }
        let uses = create.spec.uses.unwrap_or(1);
        if !(1..=MAX_TOKEN_USES).contains(&uses) {
            return Err(invalid("a token has 1 to 10000 uses"));
        }
        let endpoints = self.advertised();
        if endpoints.is_empty() {
            return Err(ApiError::new(ErrorCode::Conflict, "this site accepts no links").hint(
                "run 'vanctl token create --accept', or add [accept] listen = [\"[::]:8263\"] to \
                     the configuration and reload",
            ));
        }
        let created = clock::now();
        let expires = created + SignedDuration::from_secs(seconds.cast_signed());
        let name = create.name.unwrap_or_else(|| {
            let random: u32 = rand::random();
            format!("token-{random:08x}").parse().expect("hex digits make a label")
        });
        let secret = Secret::generate();
        let kept = IssuedToken {
            hash: secret.hash(),
            created,
            expires,
            uses,
            redeemed_by: Vec::new(),
            cost: create.spec.cost,
            barred: Vec::new(),
        };
        self.tokens.add(&self.store, name.as_str(), kept).map_err(|error| match error {
            AddError::Exists => {
                ApiError::new(ErrorCode::Conflict, format!("there is a token named {name:?}"))
            }
            AddError::TooMany => ApiError::new(ErrorCode::Conflict, error.to_string()),
            AddError::Store(error) => state(error),
        })?;
        let issuer = self.own_id();
        let cost = create.spec.cost;
        let token = Token { issuer, endpoints, secret, expires, uses, name: name.clone(), cost };
        let text = format!("token {name} was made: {uses} uses, until {expires}");
        self.event(Severity::Info, "TokenCreated", format!("token/{name}"), text);
        Ok(TokenCreated {
            name: name.to_string(),
            token: token.encode(),
            access_token: token.to_access_token_yaml(),
            expires,
            uses,
        })
    }

    /// Makes a token worthless.
    ///
    /// # Errors
    /// There is none of this name, or the disk is full.
    pub fn revoke_token(&self, name: &str) -> Result<(), ApiError> {
        if !self.tokens.remove(&self.store, name).map_err(state)? {
            return Err(not_found("token", name));
        }
        let text = format!("token {name} was revoked");
        self.event(Severity::Info, "TokenRevoked", format!("token/{name}"), text);
        Ok(())
    }

    /// Where others reach this site: as configured, else the host's addresses.
    pub(crate) fn advertised(&self) -> Vec<HostPort> {
        let bound = self.accepting();
        let config = self.loaded.lock().config.clone();
        if let Some(accept) = config.accept.filter(|a| !a.advertise.is_empty() && !bound.is_empty())
        {
            return accept.advertise;
        }
        let (any, fixed): (Vec<_>, Vec<_>) =
            bound.into_iter().partition(|a| a.ip().is_unspecified());
        let mut endpoints: Vec<HostPort> = fixed.into_iter().map(HostPort::from).collect();
        for address in any {
            let of_host =
                host_addresses().into_iter().filter(|ip| ip.is_ipv4() || address.is_ipv6());
            endpoints.extend(of_host.map(|ip| HostPort::new(ip, address.port())));
        }
        endpoints.truncate(Token::MAX_ENDPOINTS);
        endpoints
    }

    /// Accepts links from now on, also after a restart.
    pub(crate) fn open_link_port(&self) -> Result<(), ApiError> {
        let config = self.loaded.lock().config.clone();
        if config.site.mode == van_model::Mode::Edge {
            return Err(ApiError::new(ErrorCode::Conflict, "an edge site accepts no links")
                .hint("make the token at an interior site"));
        }
        if config.accept.is_some() {
            // It is the configuration's, and can't be bound now: that is told already.
            return Ok(());
        }
        self.make(|made| made.accept = true)?;
        let failed = |why: &String| {
            ApiError::new(ErrorCode::Unavailable, why.clone())
                .hint("free the port, or choose another with [accept] listen")
        };
        let refused = {
            let running = self.running.lock();
            running.accepts.values().find_map(|run| run.as_ref().err().map(failed))
        };
        if let Some(error) = refused {
            self.make(|made| made.accept = false)?;
            return Err(error);
        }
        let text = format!("links are accepted at port {} from now on", van_model::LINK_PORT);
        self.event(Severity::Info, "LinksAccepted", "accept".into(), text);
        Ok(())
    }

    /// Accepts no links from now on; those that are up stay.
    pub(crate) fn close_link_port(&self) -> Result<(), ApiError> {
        if self.loaded.lock().config.accept.is_some() {
            return Err(ApiError::new(ErrorCode::Conflict, "[accept] is in the configuration")
                .hint("take it out there, then 'vanctl reload'"));
        }
        self.make(|made| made.accept = false)?;
        let text = "links are not accepted any more".to_owned();
        self.event(Severity::Info, "LinksNotAccepted", "accept".into(), text);
        Ok(())
    }
}

/// The host's addresses that others may reach: not loopback, not link-local.
fn host_addresses() -> Vec<std::net::IpAddr> {
    let mut found = Vec::new();
    for interface in nix::ifaddrs::getifaddrs().into_iter().flatten() {
        let Some(address) = interface.address else { continue };
        if let Some(v4) = address.as_sockaddr_in() {
            found.push(std::net::IpAddr::V4(v4.ip()));
        } else if let Some(v6) = address.as_sockaddr_in6() {
            found.push(std::net::IpAddr::V6(v6.ip()));
        }
    }
    let link_local = |ip: &std::net::IpAddr| match ip {
        std::net::IpAddr::V4(v4) => v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    let (loopback, mut global): (Vec<_>, Vec<_>) =
        found.into_iter().filter(|ip| !link_local(ip)).partition(|ip| ip.is_loopback());
    global.dedup();
    // A machine without a network still links with itself.
    if global.is_empty() { loopback } else { global }
}
