//! A site without links, and workloads for it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use van_model::{Address, Check, ConnectorSpec, ListenerSpec, Protocol, SiteId, Workload};
use van_net::Workers;
use van_proxy::{
    Candidate, Connectors, Dispatcher, Listener, ListenerError, Service, ServiceTable, Via,
    Workloads,
};

/// Time in which everything must have happened.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// This site's id.
pub(crate) const HERE: SiteId = SiteId::from_bytes([7; 20]);

/// Listeners and connectors that share one data plane.
pub(crate) struct Site {
    pub(crate) workers: Arc<Workers>,
    pub(crate) connectors: Arc<Connectors>,
    pub(crate) dispatcher: Arc<Dispatcher>,
    pub(crate) news: Arc<AtomicUsize>,
    pub(crate) places: Arc<Places>,
}

/// Where containers are, as the test says; none is anywhere at first.
#[derive(Default)]
pub(crate) struct Places(Mutex<Option<SocketAddr>>);

impl Workloads for Places {
    fn locate(&self, workload: &Workload) -> Result<Vec<SocketAddr>, String> {
        let place = *self.0.lock().unwrap();
        place.map(|place| vec![place]).ok_or_else(|| format!("{workload} is stopped"))
    }
}

impl Site {
    /// Starts, stops or moves every container.
    pub(crate) fn move_to(&self, place: Option<SocketAddr>) {
        *self.places.0.lock().unwrap() = place;
        self.connectors.look_again();
    }
}

impl Site {
    pub(crate) fn new() -> Self {
        Self::with_limit(10_000)
    }

    pub(crate) fn with_limit(max_flows: u32) -> Self {
        let workers = Arc::new(Workers::start(Some(2)).unwrap());
        // Kept for the whole process: its thread is the control runtime.
        let control = Box::leak(Box::new(Workers::start(Some(1)).unwrap())).get(0).clone();
        let news = Arc::new(AtomicUsize::new(0));
        let places = Arc::new(Places::default());
        let connectors = Connectors::new(places.clone(), count(&news), control);
        let dispatcher = Dispatcher::new(connectors.clone(), &workers, max_flows, None);
        Self { workers, connectors, dispatcher, news, places }
    }

    /// Offers a target that nobody checks.
    pub(crate) fn connect(&self, name: &str, address: &str, target: &str) {
        self.connectors
            .set(ConnectorSpec { check: Check::None, ..connector(name, address, target) });
    }

    /// Publishes `targets` targets of an address at this site.
    pub(crate) fn publish(&self, address: &str, targets: u32) -> Arc<Service> {
        let (via, groups) = (Via::Local, Vec::new());
        let candidate =
            Candidate { site: HERE, via, targets, groups, cost: 0, meter: Arc::default() };
        let service = Arc::new(Service::new(vec![candidate], Arc::default()));
        let address: Address = address.parse().unwrap();
        self.dispatcher.publish(ServiceTable::from_iter([(address, service.clone())]));
        service
    }

    /// Publishes a target of each address at this site.
    pub(crate) fn publish_each(&self, addresses: &[&str]) {
        let service = |address: &&str| {
            let (via, groups) = (Via::Local, Vec::new());
            let candidate =
                Candidate { site: HERE, via, targets: 1, groups, cost: 0, meter: Arc::default() };
            let address: Address = address.parse().unwrap();
            (address, Arc::new(Service::new(vec![candidate], Arc::default())))
        };
        self.dispatcher.publish(addresses.iter().map(service).collect::<ServiceTable>());
    }

    /// Listens as a spec says, and waits until clients are accepted.
    pub(crate) fn listen_as(&self, spec: ListenerSpec) -> (Listener, SocketAddr) {
        let (worker, news) = (self.workers.get(0), count(&self.news));
        let listener = Listener::start(spec, self.dispatcher.clone(), worker, news).unwrap();
        until("the listener accepts", || listener.state().accepting);
        let bound = bound(&listener);
        (listener, bound)
    }

    pub(crate) fn try_listen(&self, address: &str, bind: &str) -> Result<Listener, ListenerError> {
        let bind = bind.parse().unwrap_or_else(|_| {
            // A port of 0 is no text's, but a program's.
            let free: SocketAddr = bind.parse().unwrap();
            van_model::Bind::Tcp(free.into())
        });
        let (name, address) = ("test".parse().unwrap(), address.parse().unwrap());
        let spec = ListenerSpec::new(name, address, bind);
        Listener::start(spec, self.dispatcher.clone(), self.workers.get(0), count(&self.news))
    }

    /// Listens, and waits until clients are accepted.
    pub(crate) fn listen(&self, address: &str) -> (Listener, SocketAddr) {
        let listener = self.try_listen(address, "127.0.0.1:0").unwrap();
        until("the listener accepts", || listener.state().accepting);
        let bound = bound(&listener);
        (listener, bound)
    }
}

fn count(news: &Arc<AtomicUsize>) -> Arc<dyn Fn() + Send + Sync> {
    let news = news.clone();
    Arc::new(move || {
        news.fetch_add(1, Ordering::SeqCst);
    })
}

pub(crate) fn connector(name: &str, address: &str, target: &str) -> ConnectorSpec {
    ConnectorSpec {
        name: name.parse().unwrap(),
        address: address.parse().unwrap(),
        protocol: Protocol::Tcp,
        target: target.parse().unwrap(),
        service_port: None,
        check: Check::Tcp,
        timing: van_model::CheckTiming::default(),
        proxy_protocol: false,
        priority: 0,
        weight: std::num::NonZeroU16::MIN,
        tls: None,
    }
}

pub(crate) fn bound(listener: &Listener) -> SocketAddr {
    listener.state().bound.unwrap().parse().unwrap()
}

/// Waits for a condition; fails with `what` at the deadline.
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Connects with deadlines on reading and writing.
pub(crate) fn client(to: SocketAddr) -> io::Result<TcpStream> {
    let client = TcpStream::connect_timeout(&to, DEADLINE)?;
    client.set_read_timeout(Some(DEADLINE))?;
    client.set_write_timeout(Some(DEADLINE))?;
    Ok(client)
}

/// Sends a line and reads it back.
pub(crate) fn echo(client: &mut (impl Read + Write), line: &[u8]) {
    client.write_all(line).unwrap();
    let mut back = vec![0; line.len()];
    client.read_exact(&mut back).unwrap();
    assert_eq!(back, line);
}

/// A workload: each connection is served by `serve` in a thread of its own.
pub(crate) fn workload(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, serve) = (stream.unwrap(), serve.clone());
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream.set_write_timeout(Some(DEADLINE)).unwrap();
            thread::spawn(move || serve(stream));
        }
    });
    address
}

/// Sends everything back as it comes, the end included.
pub(crate) fn echo_workload() -> SocketAddr {
    workload(|stream| {
        // A client that resets ends it as well.
        let _ = io::copy(&mut &stream, &mut &stream);
        let _ = stream.shutdown(Shutdown::Write);
    })
}

/// Connects to a service that can't be reached, and checks that it says so.
pub(crate) fn sees_reset(place: SocketAddr) {
    // The reset can come before the system call that connects has returned.
    let answer = client(place).and_then(|mut flow| flow.read(&mut [0]));
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

/// A port where nobody listens.
pub(crate) fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Closes with a reset.
pub(crate) fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Bytes that tell a lost, doubled or swapped piece.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    })
    .take(len)
    .collect()
}
