//! An echo server for `make demo`: `echo-server [HOST:PORT]`, by default at a free loopback port.

use std::io::{self, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let at = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = TcpListener::bind(&at)?;
    let mut out = io::stdout();
    writeln!(out, "listening at {}", listener.local_addr()?)?;
    out.flush()?;
    loop {
        let (stream, _) = listener.accept()?;
        std::thread::spawn(move || {
            // A client that breaks off is not the server's business.
            let _ended = serve(&stream);
        });
    }
}

fn serve(stream: &TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = (stream, stream);
    io::copy(&mut reader, &mut writer)?;
    stream.shutdown(Shutdown::Write)
}
