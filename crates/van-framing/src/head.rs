//! A request's head, read as strictly as RFC 9110 and RFC 9112 allow a server to.

use crate::refusal::Refusal;

/// Fields of one head.
pub(crate) const MAX_FIELDS: usize = 100;

/// The most digits of a length, so that none overflows.
const MAX_DIGITS: usize = 18;

/// How a request goes on after its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Length(u64),
    Chunked,
    /// Another protocol may begin, if the answer says so.
    Upgrade,
}

/// What fields say of a body's length and of the connection.
#[derive(Debug, Default)]
struct Fields {
    hosts: usize,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
    wants_upgrade: bool,
}

/// Reads a head, the empty line included; every line ends with CR LF already.
pub(crate) fn parse(head: &[u8]) -> Result<Body, Refusal> {
    let mut lines =
        head.split(|b| *b == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_old = request_line(lines.next().unwrap_or_default())?;
    let mut fields = Fields::default();
    for (count, line) in lines.take_while(|line| !line.is_empty()).enumerate() {
        if count >= MAX_FIELDS {
            return Err(Refusal::TooLarge);
        }
        let (name, value) = field(line)?;
        fields.take(name, value, is_old)?;
    }
    if fields.hosts == 0 && !is_old {
        return Err(Refusal::Host);
    }
    match (fields.length, fields.chunked) {
        (Some(_), true) => Err(Refusal::TwoLengths),
        (Some(0), false) | (None, false) if fields.upgrade && fields.wants_upgrade && !is_old => {
            Ok(Body::Upgrade)
        }
        (Some(length), false) => Ok(Body::Length(length)),
        (None, true) => Ok(Body::Chunked),
        (None, false) => Ok(Body::None),
    }
}

/// Reads a field's line: its name, and its value without the space around it.
pub(crate) fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return Err(Refusal::Folded);
    }
    let colon = line.iter().position(|b| *b == b':').ok_or(Refusal::Field)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let fits = |b: &u8| matches!(b, b'\t' | b' '..=b'~' | 0x80..);
    if name.is_empty() || !name.iter().all(|b| is_token(*b)) || !value.iter().all(fits) {
        return Err(Refusal::Field);
    }
    Ok((name, trim(value)))
}

impl Fields {
    fn take(&mut self, name: &[u8], value: &[u8], is_old: bool) -> Result<(), Refusal> {
        let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
        if is("host") {
            self.hosts += 1;
            if self.hosts > 1 || !is_host(value) {
                return Err(Refusal::Host);
            }
        } else if is("content-length") {
            if self.length.is_some() {
                return Err(Refusal::ContentLength);
            }
            self.length = Some(length(value).ok_or(Refusal::ContentLength)?);
        } else if is("transfer-encoding") {
            if self.chunked || is_old || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::TransferEncoding);
            }
            self.chunked = true;
        } else if is("upgrade") {
            self.upgrade = true;
        } else if is("connection") {
            let mut tokens = value.split(|b| *b == b',').map(trim);
            self.wants_upgrade |= tokens.any(|token| token.eq_ignore_ascii_case(b"upgrade"));
        }
        Ok(())
    }
}

/// Reads the request line; returns whether it is HTTP/1.0's.
fn request_line(line: &[u8]) -> Result<bool, Refusal> {
    let mut words = line.split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::RequestLine);
    };
    if method.is_empty() || method.len() > 32 || !method.iter().all(|b| is_token(*b)) {
        return Err(Refusal::RequestLine);
    }
    let is_old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::Version);
        }
        _ => return Err(Refusal::RequestLine),
    };
    let shown = |b: &u8| matches!(b, b'!'..=b'~') && *b != b'#';
    if target.is_empty() || !target.iter().all(shown) || !fits(method, target) {
        return Err(Refusal::Target);
    }
    Ok(is_old)
}

/// Whether a method may have a target of this form (RFC 9112, 3.2).
fn fits(method: &[u8], target: &[u8]) -> bool {
    if method == b"CONNECT" {
        return is_host(target);
    }
    match target {
        [b'/', ..] => true,
        b"*" => method == b"OPTIONS",
        _ => {
            let schemes = [&b"http://"[..], b"https://"];
            let rest = schemes.iter().find_map(|scheme| {
                let (start, rest) = target.split_at_checked(scheme.len())?;
                start.eq_ignore_ascii_case(scheme).then_some(rest)
            });
            let end = |rest: &[u8]| rest.iter().position(|b| matches!(b, b'/' | b'?'));
            rest.is_some_and(|rest| is_host(&rest[..end(rest).unwrap_or(rest.len())]))
        }
    }
}

/// Whether this is a host with or without a port, and nothing that another reader could take for more.
fn is_host(value: &[u8]) -> bool {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'~');
    let (host, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|b| *b == b']') else { return false };
            let inside = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
            if end == 0 || !rest[..end].iter().all(inside) {
                return false;
            }
            (&b"v6"[..], &rest[end + 1..])
        }
        _ => value.split_at(value.iter().position(|b| *b == b':').unwrap_or(value.len())),
    };
    let port_fits = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    !host.is_empty() && host.iter().all(plain) && port_fits
}

fn length(value: &[u8]) -> Option<u64> {
    let fits = (1..=MAX_DIGITS).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    fits.then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

pub(crate) const fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Without the spaces and tabs at both ends; other white space is no part of the syntax.
fn trim(value: &[u8]) -> &[u8] {
    let is_space = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value.iter().position(|b| !is_space(b)).unwrap_or(value.len());
    let end = value.iter().rposition(|b| !is_space(b)).map_or(start, |last| last + 1);
    &value[start..end]
}
