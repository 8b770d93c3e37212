//! Bytes that are a request, or are none, and why. Behind each stands another request in the tests.

use van_framing::Refusal;
use van_framing::Refusal::{
    Chunk, ContentLength, Field, Folded, Host, LineEnd, RequestLine, Target, Trailer,
    TransferEncoding, TwoLengths, Version,
};

pub(crate) type Vector = (&'static str, &'static str, Option<Refusal>);

/// Behind each of these stands another request in the tests, which must be seen, or not, as the vector
/// says.
pub(crate) const LINES: [Vector; 29] = [
    ("plain", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", None),
    ("an empty line before", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", None),
    ("two empty lines before", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(RequestLine)),
    ("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", None),
    ("any token as method", "M-SEARCH /x?y=%20&z HTTP/1.1\r\nHost: a\r\n\r\n", None),
    ("absolute", "GET http://a.b:80/x HTTP/1.1\r\nHost: c\r\n\r\n", None),
    ("absolute without path", "GET HTTP://a HTTP/1.1\r\nHost: a\r\n\r\n", None),
    ("absolute, a name in front", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Some(Target)),
    ("absolute without host", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", Some(Target)),
    ("another scheme", "GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", Some(Target)),
    ("asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", None),
    ("asterisk of GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", Some(Target)),
    ("authority of GET", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Some(Target)),
    ("authority of CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", None),
    ("path of CONNECT", "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", Some(Target)),
    ("fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Some(Target)),
    ("a byte beyond ASCII", "GET /\u{fc} HTTP/1.1\r\nHost: a\r\n\r\n", Some(Target)),
    ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", Some(RequestLine)),
    ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Some(RequestLine)),
    ("a tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Some(RequestLine)),
    ("space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Some(RequestLine)),
    ("space in front", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", Some(RequestLine)),
    ("space behind", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Some(RequestLine)),
    ("no token as method", "GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", Some(RequestLine)),
    ("HTTP/0.9", "GET /\r\n\r\n", Some(RequestLine)),
    ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", Some(Version)),
    ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", Some(Version)),
    ("small letters", "GET / http/1.1\r\nHost: a\r\n\r\n", Some(RequestLine)),
    ("two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", Some(RequestLine)),
];

pub(crate) const FIELDS: [Vector; 27] = [
    ("no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", Some(Host)),
    ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Some(Host)),
    ("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", Some(Host)),
    ("two names in Host", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Some(Host)),
    ("a path in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Some(Host)),
    ("a name in front of Host", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Some(Host)),
    ("a port that is none", "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", Some(Host)),
    ("IPv6 with a port", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", None),
    ("IPv6 without an end", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Some(Host)),
    ("two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Some(Host)),
    ("space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", Some(Field)),
    ("tab before the colon", "GET / HTTP/1.1\r\nHost: a\r\nA\t: b\r\n\r\n", Some(Field)),
    ("no colon", "GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n", Some(Field)),
    ("no name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Some(Field)),
    ("a name with a space", "GET / HTTP/1.1\r\nHost: a\r\nA B: c\r\n\r\n", Some(Field)),
    ("a name beyond ASCII", "GET / HTTP/1.1\r\nHost: a\r\n\u{e4}: c\r\n\r\n", Some(Field)),
    ("a value beyond ASCII", "GET / HTTP/1.1\r\nHost: a\r\nA: \u{e4}\r\n\r\n", None),
    ("an empty value", "GET / HTTP/1.1\r\nHost: a\r\nA:\r\n\r\n", None),
    ("a control in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: \u{1}\r\n\r\n", Some(Field)),
    ("DEL in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: \u{7f}\r\n\r\n", Some(Field)),
    ("NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: \0\r\n\r\n", Some(LineEnd)),
    ("folded with a space", "GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Some(Folded)),
    ("folded with a tab", "GET / HTTP/1.1\r\nHost: a\r\nA: b\r\n\tc\r\n\r\n", Some(Folded)),
    ("the first one folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Some(Folded)),
    ("LF alone", "GET / HTTP/1.1\nHost: a\n\n", Some(LineEnd)),
    ("LF alone at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", Some(LineEnd)),
    ("CR alone in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\rC: d\r\n\r\n", Some(LineEnd)),
];

pub(crate) const LENGTHS: [Vector; 31] = [
    ("a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", None),
    ("zeros in front", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc", None),
    ("a body of HTTP/1.0", "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc", None),
    (
        "twice the same",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        Some(ContentLength),
    ),
    (
        "twice, different",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 0\r\n\r\nabc",
        Some(ContentLength),
    ),
    ("a list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\n", Some(ContentLength)),
    ("a plus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\n", Some(ContentLength)),
    ("a minus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\n", Some(ContentLength)),
    (
        "hexadecimal",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\n",
        Some(ContentLength),
    ),
    (
        "a space inside",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 3\r\n\r\n",
        Some(ContentLength),
    ),
    ("a point", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3.0\r\n\r\n", Some(ContentLength)),
    (
        "an empty length",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
        Some(ContentLength),
    ),
    (
        "too long a number",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
        Some(ContentLength),
    ),
    (
        "length, then coding",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Some(TwoLengths),
    ),
    (
        "coding, then length",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        Some(TwoLengths),
    ),
    (
        "chunks",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        None,
    ),
    (
        "large letters",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
        None,
    ),
    (
        "coding in HTTP/1.0",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "identity",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "gzip, chunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "chunked twice in one",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "chunked twice in two",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "chunked and another",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "xchunked",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "quoted",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "a parameter",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "a vertical tab",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n",
        Some(Field),
    ),
    (
        "an empty coding",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
        Some(TransferEncoding),
    ),
    (
        "space before the colon",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        Some(Field),
    ),
    (
        "folded",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n , x\r\n\r\n",
        Some(Folded),
    ),
    (
        "hidden behind a CR",
        "POST / HTTP/1.1\r\nHost: a\r\nA: b\rTransfer-Encoding: chunked\r\n\r\n",
        Some(LineEnd),
    ),
];

/// Each follows `POST / HTTP/1.1`, `Host: a`, `Transfer-Encoding: chunked`.
pub(crate) const CHUNKS: [Vector; 25] = [
    ("two chunks", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", None),
    ("small and large digits", "a\r\n0123456789\r\n0\r\n\r\n", None),
    ("zeros in front", "0003\r\nabc\r\n000\r\n\r\n", None),
    ("an extension", "3;a=b\r\nabc\r\n0;c\r\n\r\n", None),
    ("a trailer", "0\r\nA: b\r\n\r\n", None),
    ("no size", "\r\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("hexadecimal mark", "0x3\r\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("a plus", "+3\r\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("a minus", "-3\r\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("space in front", " 3\r\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("space behind", "3 \r\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("space before an extension", "3 ;a\r\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("a control in an extension", "3;a\u{1}\r\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("LF in an extension", "3;a\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("too large", "1000000000000000\r\n", Some(Chunk)),
    ("size ended by LF", "3\nabc\r\n0\r\n\r\n", Some(Chunk)),
    ("chunk ended by LF", "3\r\nabc\n0\r\n\r\n", Some(Chunk)),
    ("chunk not ended", "3\r\nabc0\r\n\r\n", Some(Chunk)),
    ("chunk longer than said", "3\r\nabcd\r\n0\r\n\r\n", Some(Chunk)),
    ("chunk ended by two CR", "3\r\nabc\r\r\n0\r\n\r\n", Some(Chunk)),
    ("end ended by LF", "0\r\n\n", Some(Trailer)),
    ("a length as trailer", "0\r\nContent-Length: 3\r\n\r\n", Some(Trailer)),
    ("a coding as trailer", "0\r\ntransfer-encoding: chunked\r\n\r\n", Some(Trailer)),
    ("a folded trailer", "0\r\nA: b\r\n c\r\n\r\n", Some(Trailer)),
];

/// What stands in front of each of [`CHUNKS`].
pub(crate) const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
