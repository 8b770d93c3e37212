//! A connection that is kept and used now and then, as a database's client keeps one.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Time for one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A conversation with a [`crate::Witness`].
#[derive(Debug)]
pub struct Talk {
    stream: TcpStream,
    said: u64,
}

/// How a conversation was ended by the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TalkEnd {
    /// The orderly end.
    Closed,
    /// A reset.
    Reset,
    /// Nothing came in the time given.
    Open,
}

impl Talk {
    /// Connects to a loopback port and says something.
    ///
    /// # Errors
    /// When nobody answers, or not what was said.
    pub fn open(port: u16) -> io::Result<Self> {
        let place = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&place, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut talk = Self { stream, said: 0 };
        talk.say()?;
        Ok(talk)
    }

    /// Says something that was not said before, and checks the answer.
    ///
    /// # Errors
    /// When the connection has failed, or the answer is wrong.
    pub fn say(&mut self) -> io::Result<()> {
        self.said += 1;
        let said = self.said.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        self.stream.write_all(&said)?;
        let mut heard = [0; 8];
        self.stream.read_exact(&mut heard)?;
        match heard == said {
            true => Ok(()),
            false => Err(io::Error::new(ErrorKind::InvalidData, "another answer came")),
        }
    }

    /// Waits until the other side ends it, saying nothing.
    ///
    /// # Panics
    /// When something is said.
    #[track_caller]
    pub fn wait_end(&mut self, deadline: Duration) -> TalkEnd {
        self.stream.set_read_timeout(Some(deadline)).expect("a deadline above zero");
        match self.stream.read(&mut [0; 1]) {
            Ok(0) => TalkEnd::Closed,
            Ok(_) => panic!("something was said unasked"),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => TalkEnd::Open,
                _ => TalkEnd::Reset,
            },
        }
    }
}
