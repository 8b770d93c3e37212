//! The back-ends: an echo server, an endless source, and a sender of one bulk piece.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::host::{Host, Place};
use crate::load::call;
use crate::process::{Launch, Process};
use crate::program::Programs;
use crate::stop;

/// The size of a bulk piece in bytes.
pub const BULK: usize = 1 << 20;

/// The size of the file that the HTTP back-end serves, in bytes.
pub const PAGE: usize = 1024;

/// How long a back-end may take to listen.
const START_LIMIT: Duration = Duration::from_secs(10);

/// Gives the bulk piece; each byte tells where it belongs, so a gap or a swap is seen.
pub fn bulk_piece() -> Vec<u8> {
    (0..BULK as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// The back-ends that stay up for a whole run.
#[derive(Debug)]
pub struct Backends {
    /// Returns every byte.
    pub echo: SocketAddr,
    /// Sends without end.
    pub source: SocketAddr,
    /// Sends one bulk piece, then closes.
    pub bulk: SocketAddr,
    /// Serves a small file over HTTP, where nginx is installed.
    pub http: Option<SocketAddr>,
    /// The same over HTTP/2 by prior knowledge.
    pub http2: Option<SocketAddr>,
    /// Answers calls over HTTP/2 by prior knowledge.
    pub calls: SocketAddr,
    /// Sends datagrams back.
    pub datagrams: SocketAddr,
    _processes: Vec<Process>,
}

impl Backends {
    /// Starts them on the machine itself.
    ///
    /// # Errors
    /// Where one doesn't listen within 10 s.
    pub fn start(programs: &Programs, dir: &Path) -> Result<Self> {
        let host = Host::loopback();
        fs::create_dir_all(dir)?;
        let free = || host.free_port();
        let (echo, source, bulk, calls, datagrams) = (free()?, free()?, free()?, free()?, free()?);
        let ports = [echo, source, bulk, calls, datagrams].map(|address| address.to_string());
        let args = std::iter::once("backend".to_owned()).chain(ports);
        let own = Launch::new("backend", std::env::current_exe()?, args);
        let mut processes = vec![Process::start(&own, &host, dir)?];
        let (http, http2) = match programs.find("nginx") {
            Some(nginx) => {
                let (one, two) = (free()?, free()?);
                processes.push(Process::start(&http(&nginx, one, two, dir)?, &host, dir)?);
                (Some(one), Some(two))
            }
            None => (None, None),
        };
        for address in [echo, source, bulk, calls].into_iter().chain(http) {
            wait_listening(&mut processes, address)?;
        }
        Ok(Self { echo, source, bulk, http, http2, calls, datagrams, _processes: processes })
    }
}

fn wait_listening(processes: &mut [Process], address: SocketAddr) -> Result<()> {
    let up = stop::wait_until(START_LIMIT, || {
        processes.iter_mut().try_for_each(Process::check_alive)?;
        Ok(std::net::TcpStream::connect(address).is_ok())
    })?;
    if !up {
        bail!("a back-end does not listen on {address} after {} s", START_LIMIT.as_secs());
    }
    Ok(())
}

fn http(nginx: &Path, one: SocketAddr, two: SocketAddr, dir: &Path) -> Result<Launch> {
    fs::write(dir.join("page"), vec![b'v'; PAGE])?;
    let file = dir.join("http.conf");
    let folder = dir.display();
    let text = format!(
        "daemon off;\nworker_processes 1;\npid {folder}/http.pid;\nerror_log stderr warn;\n\
         events {{ worker_connections 4096; }}\nhttp {{\n  access_log off;\n  \
         keepalive_requests 1000000000;\n  keepalive_timeout 1h;\n  open_file_cache max=10;\n  \
         server {{ listen {one}; listen {two} http2; root {folder}; \
         http2_max_concurrent_streams 128; }}\n}}\n"
    );
    fs::write(&file, text)?;
    // Started by root, nginx serves as another user, who must get into the folder.
    open_to_all(dir)?;
    let args = ["-p", &folder.to_string(), "-e", "stderr", "-c", &file.display().to_string()]
        .map(str::to_owned);
    Ok(Launch::new("http", nginx, args))
}

fn open_to_all(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let parent = dir.parent().context("the back-ends' folder has no parent")?;
    for path in [parent, dir] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Gives an iperf3 server on `host`; it takes one test at a time.
///
/// # Errors
/// Where iperf3 is missing or can't be started.
pub fn iperf(programs: &Programs, place: &Place, dir: &Path) -> Result<(Process, SocketAddr)> {
    let host = &place.egress;
    let address = host.free_port()?;
    let iperf = programs.find("iperf3").context("iperf3 is not installed")?;
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    fs::create_dir_all(dir)?;
    let launch = Launch::new("iperf-server", iperf, ["-s", "-B", &ip, "-p", &port]);
    let mut process = Process::start(&launch, host, dir)?;
    let up = stop::wait_until(START_LIMIT, || {
        process.check_alive()?;
        Ok(crate::usage::listening(process.pid(), &[address]))
    })?;
    if !up {
        bail!("iperf3 does not listen on {address} after {} s", START_LIMIT.as_secs());
    }
    Ok((process, address))
}

/// Serves the back-ends until killed: the child process of [`Backends::start`].
///
/// # Errors
/// Where an address can't be bound.
pub fn serve(runtime: &Runtime, addresses: [SocketAddr; 5]) -> Result<()> {
    runtime.block_on(async {
        let [echo, source, bulk, calls, datagrams] = addresses;
        let piece: Arc<[u8]> = bulk_piece().into();
        let mut servers = JoinSet::new();
        servers.spawn(accept(TcpListener::bind(echo).await?, echo_one));
        servers.spawn(accept(TcpListener::bind(source).await?, pour));
        let listener = TcpListener::bind(bulk).await?;
        servers.spawn(accept(listener, move |stream| send_piece(stream, Arc::clone(&piece))));
        servers.spawn(accept(TcpListener::bind(calls).await?, call::serve));
        let socket = tokio::net::UdpSocket::bind(datagrams).await?;
        servers.spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                // The sender may be gone.
                let _ = socket.send_to(&buffer[..length], from).await;
            }
        });
        while servers.join_next().await.is_some() {}
        Ok(())
    })
}

async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    // Without it a small answer may wait for an acknowledgement.
                    let _ = stream.set_nodelay(true);
                    open.spawn(serve(stream));
                }
                // Out of descriptors, or a client that left at once.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            },
            Some(_) = open.join_next(), if !open.is_empty() => {}
        }
    }
}

async fn echo_one(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..read]).await?;
    }
}

async fn pour(mut stream: TcpStream) -> std::io::Result<()> {
    let piece = vec![0x56; 64 * 1024];
    loop {
        stream.write_all(&piece).await?;
    }
}

async fn send_piece(mut stream: TcpStream, piece: Arc<[u8]>) -> std::io::Result<()> {
    stream.write_all(&piece).await?;
    stream.shutdown().await?;
    // The client closes once it has all.
    let mut rest = [0; 256];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shifted_bulk_differs() {
        let piece = bulk_piece();
        assert_eq!(piece.len(), BULK);
        assert_ne!(piece[..4096], piece[4096..8192]);
        assert_ne!(piece[..1000], piece[251..1251]);
    }
}
