//! Listening sockets that the service manager opened for this process.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use parking_lot::Mutex;
use socket2::{SockRef, Socket};

/// Sockets that were handed over, each with the name that its unit gives it.
///
/// They stay open for as long as the process lives, so that a listener which is taken away and
/// wanted again finds its socket.
#[derive(Debug, Default)]
pub struct Handed(Mutex<Vec<Entry>>);

#[derive(Debug)]
struct Entry {
    name: String,
    socket: Socket,
    place: SocketAddr,
    used: bool,
}

impl Handed {
    /// Keeps sockets that listen at a TCP port; others are passed over and their names returned.
    pub fn new(sockets: Vec<(String, OwnedFd)>) -> (Self, Vec<String>) {
        let mut entries = Vec::new();
        let mut others = Vec::new();
        for (name, fd) in sockets {
            let place = SockRef::from(&fd).local_addr().ok().and_then(|a| a.as_socket());
            match place {
                Some(place) => {
                    let socket = fd.into();
                    entries.push(Entry { name, socket, place, used: false });
                }
                None => others.push(name),
            }
        }
        (Self(Mutex::new(entries)), others)
    }

    /// A socket with this name or at this place, as a copy that is non-blocking.
    pub fn take(&self, name: &str, place: Option<SocketAddr>) -> Option<io::Result<Socket>> {
        let mut entries = self.0.lock();
        let at = entries.iter().position(|entry| Some(entry.place) == place);
        let at = at.or_else(|| entries.iter().position(|entry| entry.name == name))?;
        let entry = &mut entries[at];
        entry.used = true;
        Some(entry.socket.set_nonblocking(true).and_then(|()| entry.socket.try_clone()))
    }

    /// Sockets that nobody wanted: name and place.
    pub fn unused(&self) -> Vec<(String, SocketAddr)> {
        let entries = self.0.lock();
        entries.iter().filter(|e| !e.used).map(|e| (e.name.clone(), e.place)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn sockets_are_found_by_place_and_by_name() {
        let sockets: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let places: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
        let names = ["accept", "accept", "web"];
        let pairs = names.iter().zip(sockets).map(|(n, s)| ((*n).to_owned(), s.into()));
        let mut all: Vec<(String, OwnedFd)> = pairs.collect();
        all.push(("odd".into(), std::fs::File::open("/dev/null").unwrap().into()));
        let (handed, others) = Handed::new(all);
        assert_eq!(others, ["odd"]);
        let found = |name: &str, place| {
            let socket = handed.take(name, place)?.unwrap();
            Some(socket.local_addr().unwrap().as_socket().unwrap())
        };
        assert_eq!(found("accept", Some(places[1])), Some(places[1]));
        assert_eq!(found("web", None), Some(places[2]));
        assert_eq!(found("web", None), Some(places[2]), "it is there for the next one too");
        assert_eq!(found("other", None), None);
        assert_eq!(handed.unused(), [("accept".to_owned(), places[0])]);
    }
}
