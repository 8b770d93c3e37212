//! Where each message of a client's bytes begins and ends, and whether there can be two opinions.

use crate::head::{self, Body};
use crate::refusal::Refusal;

/// Bytes of one head.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes of a line with a chunk's size, its extensions included.
const MAX_CHUNK_LINE: usize = 256;

/// Bytes of all extensions of a body, which nobody needs.
const MAX_EXTENSIONS: usize = 16 * 1024;

/// Bytes of all trailers of a body.
const MAX_TRAILERS: usize = 8 * 1024;

/// The most digits of a chunk's size, so that none overflows.
const MAX_CHUNK_DIGITS: usize = 15;

/// Names that a trailer must not have (RFC 9110, 6.5.1).
const NO_TRAILERS: [&str; 6] =
    ["content-length", "transfer-encoding", "host", "connection", "upgrade", "trailer"];

/// Follows the requests in a client's bytes and refuses what others could read otherwise.
#[derive(Debug, Default)]
pub struct Framing {
    state: State,
    /// The head, or the line, that is being read.
    text: Vec<u8>,
    /// Extensions or trailers of this body so far.
    extra: usize,
    /// An empty line before this request was passed over.
    skipped: bool,
    /// Requests begun and ended.
    turns: u64,
    /// Heads that were whole.
    requests: u64,
    /// The refusal came when a head was through.
    in_body: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between two requests.
    #[default]
    Start,
    Head,
    Body(u64),
    ChunkSize,
    Chunk(u64),
    /// CR LF behind a chunk; whether CR was there.
    ChunkEnd(bool),
    Trailers,
    Held,
    Raw,
    Refused,
}

/// What became of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// How many of them may be passed on.
    pub passed: usize,
    /// Why no more may ever be.
    pub refusal: Option<Refusal>,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The next request.
    Request,
    /// The rest of a head that has begun.
    RestOfHead,
    /// A body, or what is no request.
    Other,
}

impl Framing {
    /// Follows the next bytes. After a refusal, and while [`Framing::is_held`], nothing is passed on.
    ///
    /// Of a head that is refused, what came with these bytes is not passed on, so that nobody sees it
    /// whole.
    pub fn feed(&mut self, bytes: &[u8]) -> Fed {
        let mut at = 0;
        let mut head_at = 0;
        while at < bytes.len() {
            if matches!(self.state, State::Start) {
                head_at = at;
            }
            match self.step(&bytes[at..]) {
                Ok(count) => at += count,
                Err(refusal) => {
                    self.in_body = !matches!(self.state, State::Head);
                    let passed = if self.in_body { at } else { head_at };
                    self.state = State::Refused;
                    self.text = Vec::new();
                    return Fed { passed, refusal: Some(refusal) };
                }
            }
            if matches!(self.state, State::Held) && at < bytes.len() {
                self.state = State::Refused;
                return Fed { passed: head_at, refusal: Some(Refusal::EarlyBytes) };
            }
        }
        Fed { passed: at, refusal: None }
    }

    /// Whether bytes must wait for the word on another protocol.
    pub fn is_held(&self) -> bool {
        matches!(self.state, State::Held)
    }

    /// Whether nothing is taken any more.
    pub fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused)
    }

    /// The word on another protocol: whether it begins now.
    pub fn switch(&mut self, to_another: bool) {
        if self.is_held() {
            self.state = if to_another { State::Raw } else { State::Start };
            self.turns += 1;
        }
    }

    /// Whether another protocol has begun.
    pub fn is_raw(&self) -> bool {
        matches!(self.state, State::Raw)
    }

    /// Whether the refusal came when a head was through already.
    pub fn was_in_body(&self) -> bool {
        self.in_body
    }

    /// Takes nothing any more.
    pub fn refuse(&mut self) {
        self.state = State::Refused;
    }

    /// How many requests there were whose head was whole.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// What is waited for, and a number that is another with each change of it.
    pub fn phase(&self) -> (Phase, u64) {
        let phase = match self.state {
            State::Start => Phase::Request,
            State::Head => Phase::RestOfHead,
            _ => Phase::Other,
        };
        (phase, self.turns)
    }

    /// Takes some bytes, at least one; returns how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        match self.state {
            State::Start => {
                self.state = State::Head;
                self.turns += 1;
                Ok(0)
            }
            State::Head => self.head(bytes),
            State::Body(left) => Ok(self.data(bytes, left, State::Body)),
            State::ChunkSize => self.chunk_size(bytes),
            State::Chunk(left) => Ok(self.data(bytes, left, State::Chunk)),
            State::ChunkEnd(false) if bytes[0] == b'\r' => {
                self.state = State::ChunkEnd(true);
                Ok(1)
            }
            State::ChunkEnd(true) if bytes[0] == b'\n' => {
                self.state = State::ChunkSize;
                Ok(1)
            }
            State::ChunkEnd(_) => Err(Refusal::Chunk),
            State::Trailers => self.trailers(bytes),
            State::Raw => Ok(bytes.len()),
            State::Held | State::Refused => Err(Refusal::EarlyBytes),
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        for (index, byte) in bytes.iter().enumerate() {
            let ends = self.line_byte(*byte, MAX_HEAD, Refusal::TooLarge)?;
            if !ends {
                continue;
            }
            if self.text == b"\r\n" {
                if self.skipped {
                    return Err(Refusal::RequestLine);
                }
                self.skipped = true;
                self.text.clear();
            } else if self.text.ends_with(b"\r\n\r\n") {
                let body = head::parse(&self.text)?;
                self.text = Vec::new();
                self.extra = 0;
                self.skipped = false;
                self.begin(body);
                return Ok(index + 1);
            }
        }
        Ok(bytes.len())
    }

    fn begin(&mut self, body: Body) {
        self.state = match body {
            Body::None | Body::Length(0) => State::Start,
            Body::Length(length) => State::Body(length),
            Body::Chunked => State::ChunkSize,
            Body::Upgrade => State::Held,
        };
        self.turns += 1;
        self.requests += 1;
    }

    fn data(&mut self, bytes: &[u8], left: u64, state: fn(u64) -> State) -> usize {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - count as u64;
        self.state = match (left, state(left)) {
            (0, State::Chunk(_)) => State::ChunkEnd(false),
            (0, _) => {
                self.turns += 1;
                State::Start
            }
            (_, more) => more,
        };
        count
    }

    fn chunk_size(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        for (index, byte) in bytes.iter().enumerate() {
            if !self.line_byte(*byte, MAX_CHUNK_LINE, Refusal::Chunk).map_err(|_| Refusal::Chunk)? {
                continue;
            }
            let line = std::mem::take(&mut self.text);
            let (size, extension) = chunk_size(&line)?;
            self.extra += extension;
            if self.extra > MAX_EXTENSIONS {
                return Err(Refusal::Chunk);
            }
            self.state = if size == 0 { State::Trailers } else { State::Chunk(size) };
            if size == 0 {
                self.extra = 0;
            }
            return Ok(index + 1);
        }
        Ok(bytes.len())
    }

    fn trailers(&mut self, bytes: &[u8]) -> Result<usize, Refusal> {
        for (index, byte) in bytes.iter().enumerate() {
            let left = MAX_TRAILERS - self.extra;
            if !self.line_byte(*byte, left, Refusal::Trailer).map_err(|_| Refusal::Trailer)? {
                continue;
            }
            let line = std::mem::take(&mut self.text);
            if line == b"\r\n" {
                self.state = State::Start;
                self.turns += 1;
                return Ok(index + 1);
            }
            self.extra += line.len();
            let (name, _) = head::field(&line[..line.len() - 2]).map_err(|_| Refusal::Trailer)?;
            if NO_TRAILERS.iter().any(|no| name.eq_ignore_ascii_case(no.as_bytes())) {
                return Err(Refusal::Trailer);
            }
        }
        Ok(bytes.len())
    }

    /// Takes a byte of a line; returns whether the line ends with it.
    fn line_byte(&mut self, byte: u8, most: usize, too_long: Refusal) -> Result<bool, Refusal> {
        let after_return = self.text.last() == Some(&b'\r');
        if byte == 0 || (byte == b'\n') != after_return {
            return Err(Refusal::LineEnd);
        }
        if self.text.len() >= most {
            return Err(too_long);
        }
        self.text.push(byte);
        Ok(byte == b'\n')
    }
}

/// Reads `SIZE[;EXTENSION] CR LF`; returns the size and the extension's length.
fn chunk_size(line: &[u8]) -> Result<(u64, usize), Refusal> {
    let line = line.strip_suffix(b"\r\n").ok_or(Refusal::Chunk)?;
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let (size, extension) = line.split_at(digits);
    let shown = |b: &u8| matches!(b, b'\t' | b' '..=b'~');
    let extends = extension.is_empty() || extension[0] == b';' && extension.iter().all(shown);
    if !(1..=MAX_CHUNK_DIGITS).contains(&digits) || !extends {
        return Err(Refusal::Chunk);
    }
    let digit = |b: u8| u64::from(char::from(b).to_digit(16).unwrap_or(0));
    let size = size.iter().fold(0, |sum, b| sum << 4 | digit(*b));
    Ok((size, extension.len()))
}
