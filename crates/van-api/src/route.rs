//! From a method and a path to what is asked.

use hyper::Method;
use van_model::{ApiError, ErrorCode};

use crate::credentials::Access;

/// A kind of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `/v1/links`.
    Link,
    /// `/v1/listeners`.
    Listener,
    /// `/v1/connectors`.
    Connector,
    /// `/v1/tokens`.
    Token,
    /// `/v1/peers`.
    Peer,
    /// `/v1/services`.
    Service,
}

impl Kind {
    /// The kind's word, as messages use it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Listener => "listener",
            Self::Connector => "connector",
            Self::Token => "token",
            Self::Peer => "peer",
            Self::Service => "service",
        }
    }

    fn from_path(word: &str) -> Option<Self> {
        Some(match word {
            "links" => Self::Link,
            "listeners" => Self::Listener,
            "connectors" => Self::Connector,
            "tokens" => Self::Token,
            "peers" => Self::Peer,
            "services" => Self::Service,
            _ => return None,
        })
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `GET /v1/status`.
    Status,
    /// `GET /v1/site`.
    Site,
    /// `GET /v1/events`.
    Events,
    /// `GET /v1/config`.
    Config,
    /// `GET /v1/network`.
    Network,
    /// `GET /v1/tap?address=SERVICE`.
    Tap,
    /// `GET /v1/flows`.
    Flows,
    /// `GET /v1/KIND`.
    List(Kind),
    /// `GET /v1/KIND/NAME`.
    One(Kind, String),
    /// `PUT /v1/KIND/NAME`.
    Put(Kind, String),
    /// `DELETE /v1/KIND/NAME`.
    Delete(Kind, String),
    /// `POST /v1/tokens`.
    CreateToken,
    /// `POST /v1/ping`.
    Ping,
    /// `POST /v1/trace`.
    Trace,
    /// `POST /v1/check`.
    Check,
    /// `POST /v1/reload`.
    Reload,
    /// `POST /v1/log`.
    Log,
    /// What Prometheus reads.
    Metrics,
    /// A change of the site itself.
    SetSite,
    /// What only the daemon knows of itself, for a report.
    Debug,
}

/// Why a path leads nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoRoute {
    /// There is no such path.
    Path,
    /// The path exists for other methods, which are listed as in an `Allow` header.
    Method(&'static str),
}

impl NoRoute {
    pub(crate) fn error(&self, method: &Method, path: &str) -> ApiError {
        match self {
            Self::Path => ApiError::new(ErrorCode::NotFound, format!("there is nothing at {path}")),
            Self::Method(allow) => {
                ApiError::new(ErrorCode::Invalid, format!("{path} doesn't take {method}"))
                    .hint(format!("use {allow}"))
            }
        }
    }
}

impl Route {
    /// Reads a method and a path without its query.
    pub(crate) fn parse(method: &Method, path: &str) -> Result<Self, NoRoute> {
        let rest = path.strip_prefix("/v1/").ok_or(NoRoute::Path)?;
        match rest.split_once('/') {
            None => Self::top(method, rest),
            Some((kind, name)) => {
                let kind = Kind::from_path(kind).ok_or(NoRoute::Path)?;
                let name = Some(name).filter(|name| !name.contains('/')).and_then(percent_decode);
                let name = name.filter(|name| is_plain(name));
                Self::named(method, kind, name.ok_or(NoRoute::Path)?)
            }
        }
    }

    fn top(method: &Method, word: &str) -> Result<Self, NoRoute> {
        let get =
            |route| if method == Method::GET { Ok(route) } else { Err(NoRoute::Method("GET")) };
        let post =
            |route| if method == Method::POST { Ok(route) } else { Err(NoRoute::Method("POST")) };
        match word {
            "status" => get(Self::Status),
            "site" if method == Method::PUT => Ok(Self::SetSite),
            "site" if method != Method::GET => Err(NoRoute::Method("GET, PUT")),
            "site" => get(Self::Site),
            "events" => get(Self::Events),
            "config" => get(Self::Config),
            "network" => get(Self::Network),
            "flows" => get(Self::Flows),
            "tap" => get(Self::Tap),
            "ping" => post(Self::Ping),
            "trace" => post(Self::Trace),
            "check" => post(Self::Check),
            "reload" => post(Self::Reload),
            "log" => post(Self::Log),
            "tokens" if method == Method::POST => Ok(Self::CreateToken),
            "tokens" if method != Method::GET => Err(NoRoute::Method("GET, POST")),
            "metrics" => get(Self::Metrics),
            "debug" => get(Self::Debug),
            _ => get(Self::List(Kind::from_path(word).ok_or(NoRoute::Path)?)),
        }
    }

    fn named(method: &Method, kind: Kind, name: String) -> Result<Self, NoRoute> {
        let allow = match kind {
            Kind::Service => "GET",
            Kind::Peer | Kind::Link | Kind::Listener | Kind::Connector | Kind::Token => {
                "GET, PUT, DELETE"
            }
        };
        match *method {
            Method::GET => Ok(Self::One(kind, name)),
            Method::PUT if allow.contains("PUT") => Ok(Self::Put(kind, name)),
            Method::DELETE if allow.contains("DELETE") => Ok(Self::Delete(kind, name)),
            _ => Err(NoRoute::Method(allow)),
        }
    }

    /// The right that the route needs: reads are open but for configuration, tokens and what clients
    /// say.
    pub fn needs(&self) -> Access {
        match self {
            Self::Config
            | Self::Debug
            | Self::Tap
            | Self::List(Kind::Token)
            | Self::One(Kind::Token, _) => Access::Write,
            Self::Status
            | Self::Site
            | Self::Events
            | Self::Network
            | Self::Flows
            | Self::Metrics
            | Self::List(_)
            | Self::One(..) => Access::Read,
            Self::Put(..)
            | Self::Delete(..)
            | Self::CreateToken
            | Self::SetSite
            | Self::Ping
            | Self::Trace
            | Self::Check
            | Self::Reload
            | Self::Log => Access::Write,
        }
    }
}

/// Whether a name may be looked up: short, and in characters that a message can show.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.len() <= 260 && !name.chars().any(char::is_control)
}

/// Undoes `%3A` and the like; `None` where an escape is broken.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let (digits, tail) = rest.split_at_checked(2)?;
        let [high, low] = [digits[0], digits[1]].map(|b| char::from(b).to_digit(16));
        out.push(u8::try_from(high? * 16 + low?).ok()?);
        rest = tail;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Result<Route, NoRoute> {
        Route::parse(&Method::GET, path)
    }

    #[test]
    fn known_paths() {
        assert_eq!(get("/v1/status"), Ok(Route::Status));
        assert_eq!(get("/v1/links"), Ok(Route::List(Kind::Link)));
        assert_eq!(get("/v1/links/a"), Ok(Route::One(Kind::Link, "a".into())));
        assert_eq!(get("/v1/services/db:5432"), get("/v1/services/db%3a5432"));
        assert_eq!(get("/v1/network"), Ok(Route::Network));
        assert_eq!(get("/v1/flows"), Ok(Route::Flows));
        assert_eq!(Route::parse(&Method::POST, "/v1/trace"), Ok(Route::Trace));
        assert_eq!(Route::parse(&Method::POST, "/v1/check"), Ok(Route::Check));
        assert_eq!(get("/v1/links/a%2Fb"), Ok(Route::One(Kind::Link, "a/b".into())));
        assert_eq!(Route::parse(&Method::POST, "/v1/tokens"), Ok(Route::CreateToken));
        assert_eq!(
            Route::parse(&Method::DELETE, "/v1/peers/abcdef"),
            Ok(Route::Delete(Kind::Peer, "abcdef".into()))
        );
    }

    #[test]
    fn unknown_paths() {
        for path in [
            "",
            "/",
            "/v1",
            "/v1/",
            "/v2/status",
            "/v1/links/",
            "/v1/links/a/b",
            "/v1/links/%2",
            "/v1/links/%zz",
            "/v1/links/%ff",
            "/v1/links/a%00",
            "/v1/nothing",
            "//v1/status",
            "/v1/status/x",
            "*",
        ] {
            assert_eq!(get(path), Err(NoRoute::Path), "{path:?}");
        }
        assert_eq!(get("/v1/metrics"), Ok(Route::Metrics));
        assert_eq!(get(&format!("/v1/links/{}", "a".repeat(300))), Err(NoRoute::Path));
    }

    #[test]
    fn wrong_methods_say_what_is_allowed() {
        for (method, path, allow) in [
            (Method::POST, "/v1/status", "GET"),
            (Method::GET, "/v1/ping", "POST"),
            (Method::GET, "/v1/check", "POST"),
            (Method::POST, "/v1/network", "GET"),
            (Method::DELETE, "/v1/tokens", "GET, POST"),
            (Method::PUT, "/v1/services/x", "GET"),
            (Method::PATCH, "/v1/peers/x", "GET, PUT, DELETE"),
            (Method::PATCH, "/v1/links/x", "GET, PUT, DELETE"),
            (Method::HEAD, "/v1/links", "GET"),
        ] {
            assert_eq!(Route::parse(&method, path), Err(NoRoute::Method(allow)), "{method} {path}");
        }
    }

    #[test]
    fn rights() {
        for (path, needs) in [
            ("/v1/status", Access::Read),
            ("/v1/links", Access::Read),
            ("/v1/services/x", Access::Read),
            ("/v1/network", Access::Read),
            ("/v1/flows", Access::Read),
            ("/v1/tap", Access::Write),
            ("/v1/tokens", Access::Write),
            ("/v1/tokens/x", Access::Write),
            ("/v1/config", Access::Write),
            ("/v1/debug", Access::Write),
            ("/v1/metrics", Access::Read),
        ] {
            assert_eq!(get(path).unwrap().needs(), needs, "{path}");
        }
        for route in [Route::Ping, Route::Trace, Route::Check] {
            assert_eq!(route.needs(), Access::Write, "{route:?}");
        }
        assert_eq!(Route::Delete(Kind::Peer, "x".into()).needs(), Access::Write);
    }
}
