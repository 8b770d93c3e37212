//! Names of targets: resolved once for all flows that wait, and kept for a while.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt, Shared};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;
use van_model::HostPort;
use van_net::Tasks;

/// Time for a name's resolution.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer is used without asking again.
const FRESH: Duration = Duration::from_secs(5);

/// How long an answer is used where the name service fails.
const STALE: Duration = Duration::from_secs(300);

/// Addresses of a name that are used.
const MAX_ADDRESSES: usize = 8;

/// Why a name has no address.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("the name {0} can't be resolved: {1}")]
    Failed(Box<str>, Arc<str>),
    #[error("the name {0} has no address")]
    Nothing(Box<str>),
    #[error("the name {host} is not resolved within {} s", PATIENCE.as_secs())]
    Timeout { host: Box<str> },
}

type Addresses = Arc<[SocketAddr]>;
type Asking = Shared<BoxFuture<'static, Result<Addresses, ResolveError>>>;

/// Resolves one target's name.
///
/// The system's resolver blocks a thread for as long as it likes; it is asked on the control
/// runtime and by one question at a time, so that a slow one holds up nobody else.
#[derive(Debug)]
pub(crate) struct Resolver {
    target: HostPort,
    tasks: Tasks,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<(Instant, Addresses)>,
    asking: Option<Asking>,
}

impl Resolver {
    pub(crate) fn new(target: HostPort, tasks: Tasks) -> Self {
        Self { target, tasks, state: Mutex::default() }
    }

    /// Whether somebody else decides what the target's addresses are.
    pub(crate) fn is_name(&self) -> bool {
        self.target.socket_addr().is_none()
    }

    /// The addresses of the target, at least one.
    pub(crate) async fn addresses(&self) -> Result<Addresses, ResolveError> {
        if let Some(address) = self.target.socket_addr() {
            return Ok([address].into());
        }
        let asking = {
            let mut state = self.state.lock();
            if let Some((at, addresses)) = &state.known
                && at.elapsed() < FRESH
            {
                return Ok(addresses.clone());
            }
            state.asking.get_or_insert_with(|| self.ask()).clone()
        };
        let host = || Box::from(self.target.host());
        let Ok(answer) = timeout(PATIENCE, asking.clone()).await else {
            return self.stale().ok_or_else(|| ResolveError::Timeout { host: host() });
        };
        let mut state = self.state.lock();
        if state.asking.as_ref().is_some_and(|now| now.ptr_eq(&asking)) {
            state.asking = None;
            if let Ok(addresses) = &answer {
                state.known = Some((Instant::now(), addresses.clone()));
            }
        }
        drop(state);
        answer.or_else(|error| self.stale().ok_or(error))
    }

    fn stale(&self) -> Option<Addresses> {
        let state = self.state.lock();
        let (at, addresses) = state.known.as_ref()?;
        (at.elapsed() < STALE).then(|| addresses.clone())
    }

    fn ask(&self) -> Asking {
        let (sender, answer) = oneshot::channel();
        let (host, port): (Box<str>, u16) = (self.target.host().into(), self.target.port());
        let name = host.clone();
        self.tasks.spawn("resolve", async move {
            let result = match tokio::net::lookup_host((&*host, port)).await {
                Ok(found) => Ok(found.take(MAX_ADDRESSES).collect::<Addresses>()),
                Err(error) => Err(ResolveError::Failed(host.clone(), error.to_string().into())),
            };
            let result = result.and_then(|found| {
                if found.is_empty() { Err(ResolveError::Nothing(host)) } else { Ok(found) }
            });
            // Nobody may be waiting any longer.
            let _ = sender.send(result);
        });
        let stopped = move |_| Err(ResolveError::Failed(name, "the site is stopping".into()));
        async move { answer.await.unwrap_or_else(stopped) }.boxed().shared()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(target: &str) -> Resolver {
        let tasks = Tasks::new(tokio::runtime::Handle::current(), Default::default());
        Resolver::new(target.parse().unwrap(), tasks)
    }

    #[tokio::test]
    async fn numbers_names_and_nothing() {
        let found = resolver("127.0.0.1:80").addresses().await.unwrap();
        assert_eq!(*found, ["127.0.0.1:80".parse().unwrap()]);
        let localhost = resolver("localhost:80");
        let (first, second) = tokio::join!(localhost.addresses(), localhost.addresses());
        assert!(first.unwrap().iter().all(|a| a.ip().is_loopback() && a.port() == 80));
        second.unwrap();
        assert!(localhost.state.lock().asking.is_none() && localhost.state.lock().known.is_some());
        let error = resolver("nowhere.invalid:80").addresses().await.unwrap_err();
        assert!(error.to_string().contains("nowhere.invalid"), "{error}");
    }

    #[tokio::test]
    async fn an_old_answer_serves_while_the_name_service_fails() {
        let resolver = resolver("nowhere.invalid:80");
        let old: Addresses = ["192.0.2.1:80".parse().unwrap()].into();
        let at = Instant::now().checked_sub(FRESH).expect("the machine runs for some seconds");
        resolver.state.lock().known = Some((at, old.clone()));
        assert_eq!(resolver.addresses().await.unwrap(), old);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_name_service_is_given_up() {
        let resolver = resolver("slow.example:80");
        let never = std::future::pending().boxed().shared();
        resolver.state.lock().asking = Some(never);
        let error = resolver.addresses().await.unwrap_err();
        assert!(matches!(error, ResolveError::Timeout { .. }), "{error}");
    }
}
