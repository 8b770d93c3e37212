//! A client that says exactly what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

use van_testkit::DEADLINE;

use crate::target::{field, read_body, read_head};

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        field(&self.head, name)
    }
}

/// A connection to a listener.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    #[track_caller]
    pub(crate) fn connect(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        Self { stream, reader }
    }

    /// Says something; a connection that was closed meanwhile tells when it is read.
    pub(crate) fn say(&mut self, text: impl AsRef<[u8]>) {
        let _closed = self.stream.write_all(text.as_ref());
    }

    /// Ends the saying.
    pub(crate) fn end(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads an answer's head; `None`: the connection ended.
    pub(crate) fn head(&mut self) -> Option<Answer> {
        let head = read_head(&mut self.reader)?;
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Some(Answer { status, head, body: String::new() })
    }

    /// Reads an answer with a body, if its head announces one.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head().expect("an answer");
        if answer.status >= 200 {
            let body = read_body(&mut self.reader, &answer.head).expect("the whole body");
            answer.body = String::from_utf8(body).unwrap();
        }
        answer
    }

    /// Asks and hears.
    #[track_caller]
    pub(crate) fn ask(&mut self, text: impl AsRef<[u8]>) -> Answer {
        self.say(text);
        self.answer()
    }

    /// Asks for a path.
    #[track_caller]
    pub(crate) fn get(&mut self, path: &str) -> Answer {
        self.ask(format!("GET {path} HTTP/1.1\r\nHost: web\r\n\r\n"))
    }

    /// What comes until the end; `Err`: the connection was reset.
    pub(crate) fn rest(&mut self) -> std::io::Result<Vec<u8>> {
        let mut rest = Vec::new();
        self.reader.read_to_end(&mut rest)?;
        Ok(rest)
    }

    /// Reads a line.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }

    /// Reads so many bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }
}
