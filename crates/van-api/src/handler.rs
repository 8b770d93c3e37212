//! Asks the site what a route wants and makes the answer.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::IF_NONE_MATCH;
use hyper::{Request, StatusCode};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use van_model::api::{
    ConnectorView, LinkPut, List, ListenerView, PeerPut, PeerResource, Put, Resource, SitePut,
    TokenCreate, TokenView,
};
use van_model::{ApiError, ErrorCode, Name, SiteId};

use crate::answer::{self, Answer};
use crate::connection::Connection;
use crate::credentials::{Credentials, Policy};
use crate::request::{Query, read_json};
use crate::route::{Kind, NoRoute, Route};
use crate::site::SiteApi;
use crate::watch::{Watch, documents, events, flows, tapped};

/// What the requests of one connection have in common.
pub(crate) struct Session {
    pub(crate) site: Arc<dyn SiteApi>,
    pub(crate) peer: Credentials,
    pub(crate) policy: Arc<Policy>,
    pub(crate) connection: Connection,
    pub(crate) stop: CancellationToken,
}

impl Session {
    /// Answers one request; every failure is an answer too.
    pub(crate) async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (method, path) = (request.method(), request.uri().path());
        let route = match Route::parse(method, path) {
            Ok(route) => route,
            Err(no) => {
                let error = no.error(method, path);
                return match no {
                    NoRoute::Method(allow) => answer::wrong_method(error, allow),
                    NoRoute::Path => answer::failure(error),
                };
            }
        };
        if route.needs() > self.peer.access(&self.policy) {
            tracing::info!(uid = self.peer.uid, %method, path, "refused an API request");
            return answer::failure(self.refusal());
        }
        let change = !matches!(*method, hyper::Method::GET);
        if change {
            tracing::debug!(uid = self.peer.uid, %method, path, "API request");
        }
        let done =
            if change { self.change(route, request).await } else { self.read(route, &request) };
        done.unwrap_or_else(answer::failure)
    }

    fn refusal(&self) -> ApiError {
        let user = self.peer.user.clone().unwrap_or_else(|| format!("uid {}", self.peer.uid));
        ApiError::new(ErrorCode::NotAllowed, format!("{user} may only read this site's status"))
            .hint(self.peer.hint(&self.policy))
    }

    fn read(
        self: Arc<Self>,
        route: Route,
        request: &Request<Incoming>,
    ) -> Result<Answer, ApiError> {
        if route == Route::Metrics {
            return Ok(answer::metrics(self.site.metrics()));
        }
        let query = Query::parse(request.uri().query())?;
        if !query.watch && route != Route::Tap {
            let document = read(&*self.site, &route, &query)?;
            return Ok(answer::document(StatusCode::OK, &document));
        }
        if route == Route::Tap {
            let wanted = query.flows.address.as_deref().unwrap_or_default();
            let lines = self.site.tap(wanted, query.values)?;
            return Ok(answer::stream(tapped(lines, self.connection.clone(), self.stop.clone())));
        }
        let watch = Watch::new(Arc::clone(&self.site), self.connection.clone(), self.stop.clone());
        // A resource that isn't there is told by the answer's code, not by the stream.
        read(&*self.site, &route, &query)?;
        Ok(match route {
            Route::Events => answer::stream(events(watch, query)),
            Route::Flows => answer::stream(flows(watch, query.flows)),
            _ => answer::stream(documents(watch, route)),
        })
    }

    async fn change(
        self: Arc<Self>,
        route: Route,
        request: Request<Incoming>,
    ) -> Result<Answer, ApiError> {
        let site = &*self.site;
        let fresh_only = request.headers().get(IF_NONE_MATCH).is_some_and(|v| v == "*");
        let body = request.into_body();
        match route {
            Route::CreateToken => {
                let create: TokenCreate = read_json(body).await?;
                if let Some(name) = &create.name {
                    refuse_existing(site, Kind::Token, name.as_str(), true)?;
                }
                Ok(answer::document(StatusCode::CREATED, &site.create_token(create).await?))
            }
            Route::SetSite => {
                let Put::<SitePut> { spec } = read_json(body).await?;
                site.set_site(spec).await?;
                Ok(answer::document(StatusCode::OK, &site.site()))
            }
            Route::Put(kind, name) => {
                refuse_existing(site, kind, &name, fresh_only || kind == Kind::Token)?;
                put(site, kind, resource_name(&name)?, body).await
            }
            Route::Delete(kind, name) => {
                delete(site, kind, name).await?;
                Ok(answer::done())
            }
            Route::Ping => {
                Ok(answer::document(StatusCode::OK, &site.ping(read_json(body).await?).await?))
            }
            Route::Trace => {
                Ok(answer::document(StatusCode::OK, &site.trace(read_json(body).await?).await?))
            }
            Route::Check => {
                let items = site.check().await?;
                Ok(answer::document(StatusCode::OK, &List { items }))
            }
            Route::Reload => {
                #[derive(Serialize)]
                struct Reloaded {
                    changed: Vec<String>,
                }
                let changed = site.reload().await?;
                Ok(answer::document(StatusCode::OK, &Reloaded { changed }))
            }
            Route::Log => {
                site.log(read_json(body).await?)?;
                Ok(answer::done())
            }
            Route::Status
            | Route::Site
            | Route::Events
            | Route::Config
            | Route::Network
            | Route::Flows
            | Route::Tap
            | Route::Metrics
            | Route::Debug
            | Route::List(_)
            | Route::One(..) => {
                Err(ApiError::new(ErrorCode::Internal, "a read was taken for a change"))
            }
        }
    }
}

async fn put(
    site: &dyn SiteApi,
    kind: Kind,
    name: Name,
    body: Incoming,
) -> Result<Answer, ApiError> {
    let ok = StatusCode::OK;
    match kind {
        Kind::Link => {
            let Put::<LinkPut> { spec } = read_json(body).await?;
            Ok(answer::document(ok, &site.put_link(name, spec).await?))
        }
        Kind::Listener => {
            let Put::<ListenerView> { spec } = read_json(body).await?;
            Ok(answer::document(ok, &site.put_listener(name, spec).await?))
        }
        Kind::Connector => {
            let Put::<ConnectorView> { spec } = read_json(body).await?;
            Ok(answer::document(ok, &site.put_connector(name, spec).await?))
        }
        Kind::Token => {
            let Put::<TokenView> { spec } = read_json(body).await?;
            let create = TokenCreate { name: Some(name), spec };
            Ok(answer::document(StatusCode::CREATED, &site.create_token(create).await?))
        }
        Kind::Peer => {
            let Put::<PeerPut> { spec } = read_json(body).await?;
            Ok(answer::document(ok, &site.put_peer(name.to_string(), spec).await?))
        }
        Kind::Service => Err(not_found(kind, name.as_str())),
    }
}

async fn delete(site: &dyn SiteApi, kind: Kind, name: String) -> Result<(), ApiError> {
    if kind == Kind::Peer {
        return site.delete_peer(name).await;
    }
    // A text that can't be a name names nothing.
    let name: Name = name.parse().map_err(|_| not_found(kind, &name))?;
    match kind {
        Kind::Link => site.delete_link(name).await,
        Kind::Listener => site.delete_listener(name).await,
        Kind::Connector => site.delete_connector(name).await,
        Kind::Token => site.delete_token(name).await,
        Kind::Peer | Kind::Service => Err(not_found(kind, name.as_str())),
    }
}

/// The document that a reading route asks for.
pub(crate) fn read(
    site: &dyn SiteApi,
    route: &Route,
    query: &Query,
) -> Result<serde_json::Value, ApiError> {
    match route {
        Route::Status => value(site.status()),
        Route::Site => Ok(site.site()),
        Route::Config => items(site.config()),
        Route::Events => {
            let mut events = site.events(query.after);
            events.retain(|event| query.wants(event));
            items(events)
        }
        Route::Network => items(site.network()),
        Route::Flows => items(site.flows(&query.flows)?),
        Route::List(Kind::Link) => items(site.links()),
        Route::List(Kind::Listener) => items(site.listeners()),
        Route::List(Kind::Connector) => items(site.connectors()),
        Route::List(Kind::Token) => items(site.tokens()),
        Route::List(Kind::Peer) => items(site.peers()),
        Route::List(Kind::Service) => items(site.services()),
        Route::One(kind, name) => match kind {
            Kind::Link => one(site.links(), *kind, name),
            Kind::Listener => one(site.listeners(), *kind, name),
            Kind::Connector => one(site.connectors(), *kind, name),
            Kind::Token => one(site.tokens(), *kind, name),
            Kind::Service => one(site.services(), *kind, name),
            Kind::Peer => value(peer(site.peers(), name)?),
        },
        Route::Debug => value(site.debug()),
        Route::Metrics
        | Route::Tap
        | Route::Put(..)
        | Route::Delete(..)
        | Route::CreateToken
        | Route::SetSite
        | Route::Ping
        | Route::Trace
        | Route::Check
        | Route::Reload
        | Route::Log => Err(ApiError::new(ErrorCode::Internal, "this is no document to read")),
    }
}

fn value<T: Serialize>(document: T) -> Result<serde_json::Value, ApiError> {
    serde_json::to_value(document).map_err(|error| {
        ApiError::new(ErrorCode::Internal, format!("the document can't be written: {error}"))
    })
}

fn items<T: Serialize>(items: Vec<T>) -> Result<serde_json::Value, ApiError> {
    value(List { items })
}

fn not_found(kind: Kind, name: &str) -> ApiError {
    ApiError::new(ErrorCode::NotFound, format!("no {} named {name:?}", kind.as_str()))
}

fn one<S: Serialize, T: Serialize>(
    all: Vec<Resource<S, T>>,
    kind: Kind,
    name: &str,
) -> Result<serde_json::Value, ApiError> {
    let found = all.into_iter().find(|resource| resource.name == name);
    value(found.ok_or_else(|| not_found(kind, name))?)
}

/// Finds a peer by its id, by a prefix of it, or by the site's name.
fn peer(all: Vec<PeerResource>, wanted: &str) -> Result<PeerResource, ApiError> {
    let mut found: Vec<_> = all
        .into_iter()
        .filter(|peer| {
            peer.name == wanted || peer.spec.id.has_prefix(wanted) || peer.status.name == wanted
        })
        .collect();
    match (found.len(), found.pop()) {
        (1, Some(peer)) => Ok(peer),
        (0, _) | (_, None) => Err(not_found(Kind::Peer, wanted)),
        (n, _) => Err(ApiError::new(ErrorCode::Conflict, format!("{wanted:?} names {n} peers"))
            .hint(format!("use at least {} characters of the id", SiteId::MIN_PREFIX))),
    }
}

fn resource_name(text: &str) -> Result<Name, ApiError> {
    text.parse()
        .map_err(|error: van_model::NameError| ApiError::new(ErrorCode::Invalid, error.to_string()))
}

/// Refuses to replace what exists, where only something new is wanted.
fn refuse_existing(
    site: &dyn SiteApi,
    kind: Kind,
    name: &str,
    fresh_only: bool,
) -> Result<(), ApiError> {
    let exists = || match kind {
        Kind::Link => site.wants_link(name),
        _ => read(site, &Route::One(kind, name.into()), &Query::default()).is_ok(),
    };
    if fresh_only && exists() {
        let message = format!("a {} named {name:?} exists already", kind.as_str());
        return Err(ApiError::new(ErrorCode::Conflict, message));
    }
    Ok(())
}
