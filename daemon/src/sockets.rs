//! Sockets that systemd opened: the API's, those of links and listeners.

use std::os::unix::net::UnixListener;

use listenfd::ListenFd;
use tracing::warn;
use van_net::Handed;

/// The name of the API's socket (`FileDescriptorName=`).
const API: &str = "api";

/// What systemd handed over, by sd_listen_fds(3).
pub(crate) struct Sockets {
    pub(crate) api: Option<UnixListener>,
    pub(crate) others: Handed,
}

/// Takes what systemd handed over; must run before the process has other threads.
pub(crate) fn take() -> Sockets {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let mut fds = ListenFd::from_env();
    let (mut api, mut tcp) = (None, Vec::new());
    for index in 0..fds.len() {
        let name = names.next().unwrap_or_default();
        if let Ok(Some(socket)) = fds.take_unix_listener(index) {
            if name == API || api.is_none() {
                api = Some(socket);
            } else {
                warn!(name, "a Unix socket of systemd is passed over: only the API's is taken");
            }
        } else if let Ok(Some(socket)) = fds.take_tcp_listener(index) {
            tcp.push((name, socket.into()));
        } else {
            warn!(name, "a descriptor of systemd is passed over: it is no listening stream socket");
        }
    }
    let (others, odd) = Handed::new(tcp);
    for name in odd {
        warn!(name, "a socket of systemd is passed over: it has no address");
    }
    Sockets { api, others }
}
