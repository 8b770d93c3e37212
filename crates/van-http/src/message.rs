//! What a proxy changes in messages: fields of one connection stay with it, and targets hear who asked.

use std::net::SocketAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Uri, Version, response};

use crate::fault::Fault;

/// Fields that mean one connection only, whether or not Connection names them.
const OF_CONNECTION: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Fields that Connection must not take away: they say where a message goes, or where it ends.
const STAY: [HeaderName; 2] = [header::HOST, header::CONTENT_LENGTH];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller {
    /// Where the client is; `None`: not told.
    pub(crate) address: Option<SocketAddr>,
    /// Whether it came over TLS, which ended here.
    pub(crate) secure: bool,
}

/// What of a request concerns this connection.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// The protocol that is to begin, of HTTP/1.1 only.
    pub(crate) upgrade: Option<HeaderValue>,
    /// The body waits for the target's word.
    pub(crate) permission: bool,
}

/// Makes a client's request one for a target that speaks `version`.
pub(crate) fn to_target(
    parts: &mut Parts,
    client: Caller,
    service: &str,
    version: Version,
    has_body: bool,
) -> Result<Wants, Fault> {
    if parts.method == Method::CONNECT {
        return Err(Fault::Connect);
    }
    let wants = Wants {
        upgrade: upgrade_of(parts).filter(|_| version < Version::HTTP_2 && !has_body),
        permission: parts.headers.get(header::EXPECT).is_some_and(is_continue) && has_body,
    };
    let trailers = parts.headers.get(header::TE).is_some_and(accepts_trailers);
    strip(&mut parts.headers);
    let host = host_of(parts, service);
    forwarded(&mut parts.headers, client, &host);
    join_cookies(&mut parts.headers);
    let path = parts.uri.path_and_query().cloned();
    if version == Version::HTTP_2 {
        parts.headers.remove(header::HOST);
        parts.uri = absolute(&host, path)?;
        if trailers {
            parts.headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
    } else {
        parts.headers.insert(header::HOST, host);
        parts.uri = path.map_or_else(|| Uri::from_static("/"), Uri::from);
        let mut connection = Vec::new();
        if trailers {
            parts.headers.insert(header::TE, HeaderValue::from_static("trailers"));
            connection.push("TE");
        }
        if let Some(protocol) = &wants.upgrade {
            parts.headers.insert(header::UPGRADE, protocol.clone());
            connection.push("Upgrade");
        }
        if let Ok(connection) = HeaderValue::from_str(&connection.join(", "))
            && !connection.is_empty()
        {
            parts.headers.insert(header::CONNECTION, connection);
        }
    }
    parts.version = version;
    Ok(wants)
}

/// Makes a target's answer one for a client; refuses what could be read in two ways.
pub(crate) fn to_client(parts: &mut response::Parts, version: Version) -> Result<(), Fault> {
    let headers = &mut parts.headers;
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let digits = length.as_bytes();
        let fits = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        if !fits || lengths.next().is_some() || headers.contains_key(header::TRANSFER_ENCODING) {
            return Err(Fault::Garbage);
        }
    }
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    if !codings.next().is_none_or(is_chunked) || codings.next().is_some() {
        return Err(Fault::Garbage);
    }
    let switched = (parts.status == http::StatusCode::SWITCHING_PROTOCOLS)
        .then(|| headers.get(header::UPGRADE).cloned())
        .flatten();
    strip(headers);
    if let Some(protocol) = switched {
        headers.insert(header::UPGRADE, protocol);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    parts.version = if version == Version::HTTP_2 { version } else { Version::HTTP_11 };
    Ok(())
}

fn upgrade_of(parts: &Parts) -> Option<HeaderValue> {
    let named = tokens(&parts.headers, &header::CONNECTION);
    let wanted = named.iter().any(|token| token.eq_ignore_ascii_case("upgrade"));
    let protocol = parts.headers.get(header::UPGRADE)?;
    // HTTP/2 begins by prior knowledge only.
    let is_http2 = protocol.as_bytes().to_ascii_lowercase().starts_with(b"h2c");
    (wanted && parts.version == Version::HTTP_11 && !is_http2).then(|| protocol.clone())
}

fn is_continue(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"100-continue")
}

fn accepts_trailers(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.split(',').any(|word| word.trim().eq_ignore_ascii_case("trailers"))
}

fn tokens(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|token| token.trim().to_owned()).collect()
}

/// Takes away the fields of one connection.
fn strip(headers: &mut HeaderMap) {
    for token in tokens(headers, &header::CONNECTION) {
        if let Ok(name) = HeaderName::from_bytes(token.as_bytes())
            && !STAY.contains(&name)
        {
            headers.remove(name);
        }
    }
    for name in OF_CONNECTION {
        headers.remove(name);
    }
}

/// The host that is asked for: the target's own, then the field, then the service's name.
fn host_of(parts: &Parts, service: &str) -> HeaderValue {
    let authority = parts.uri.authority().map(Authority::as_str);
    let of_target = authority.and_then(|host| HeaderValue::from_str(host).ok());
    let of_field = || parts.headers.get(header::HOST).cloned();
    let of_service = || HeaderValue::from_str(service).unwrap_or(HeaderValue::from_static("_"));
    of_target.or_else(of_field).unwrap_or_else(of_service)
}

fn absolute(host: &HeaderValue, path: Option<PathAndQuery>) -> Result<Uri, Fault> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = host.to_str().ok().and_then(|host| host.parse().ok());
    parts.path_and_query = path.or_else(|| Some(PathAndQuery::from_static("/")));
    Uri::from_parts(parts).map_err(|_| Fault::Request(van_framing::Refusal::Host))
}

/// Tells who asked and for what. What a client says of others stays in front: it is no more than
/// the client's word.
fn forwarded(headers: &mut HeaderMap, client: Caller, host: &HeaderValue) {
    if let Some(client) = client.address {
        append(headers, &FORWARDED_FOR, &client.ip().to_string());
    }
    if client.secure {
        headers.insert(FORWARDED_PROTO, HeaderValue::from_static("https"));
    } else {
        headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
    }
    headers.entry(FORWARDED_HOST).or_insert_with(|| host.clone());
    let by = match client.address {
        Some(SocketAddr::V4(client)) => format!("for={}", client.ip()),
        Some(SocketAddr::V6(client)) => format!("for=\"[{}]\"", client.ip()),
        None => "for=unknown".into(),
    };
    let host = host.to_str().unwrap_or_default().replace(['"', '\\'], "");
    let proto = if client.secure { "https" } else { "http" };
    append(headers, &header::FORWARDED, &format!("{by};host=\"{host}\";proto={proto}"));
}

/// Adds to a list, which may come in several fields.
fn append(headers: &mut HeaderMap, name: &HeaderName, more: &str) {
    let values = headers.get_all(name).iter();
    let mut list: Vec<u8> = values.map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b", "[..]);
    if !list.is_empty() {
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(more.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

/// HTTP/2 may carry cookies in several fields, HTTP/1 in one (RFC 9113, 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(header::COOKIE, joined);
    }
}
