//! The context of a trace as messages carry it (W3C Trace Context, `traceparent` and `tracestate`).

use http::header::{HeaderMap, HeaderName, HeaderValue};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The trace is recorded.
pub(crate) const SAMPLED: u8 = 0x01;

/// The trace's id is random (Level 2).
const RANDOM: u8 = 0x02;

/// The length of `traceparent` of version 00.
const LENGTH: usize = 55;

/// The longest `tracestate` that gets into a span; 512 is what all must pass on.
const STATE: usize = 2048;

/// The span that a request was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace's id; not all zero.
    pub trace: [u8; 16],
    /// The span's id; not all zero.
    pub span: [u8; 8],
    /// The flags that are known: bit 0: the trace is recorded; bit 1: its id is random.
    pub flags: u8,
}

impl Parent {
    /// Reads `traceparent`; `None`: there is none, several, or one that is none.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(TRACEPARENT).iter();
        match (fields.next(), fields.next()) {
            (Some(field), None) => Self::parse(field.as_bytes()),
            _ => None,
        }
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let [version] = hex::<1>(text.get(..2)?)?;
        let rest = text.get(LENGTH..)?;
        // A later version may have more behind a dash.
        let fits =
            if version == 0 { rest.is_empty() } else { !matches!(rest, [b, ..] if *b != b'-') };
        let dashes = [2, 35, 52].iter().all(|at| text[*at] == b'-');
        if version == 0xff || !fits || !dashes {
            return None;
        }
        let (trace, span) = (hex::<16>(&text[3..35])?, hex::<8>(&text[36..52])?);
        let [flags] = hex::<1>(&text[53..55])?;
        let known = trace != [0; 16] && span != [0; 8];
        known.then_some(Self { trace, span, flags: flags & (SAMPLED | RANDOM) })
    }

    /// Whether the trace is recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// The field that names this span, of version 00.
    pub(crate) fn field(&self) -> HeaderValue {
        let mut text = Vec::with_capacity(LENGTH);
        for (part, end) in [
            (&[0][..], b"-".as_slice()),
            (&self.trace, b"-"),
            (&self.span, b"-"),
            (&[self.flags], b""),
        ] {
            text.extend(part.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
            text.extend_from_slice(end);
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(text))
            .expect("digits and dashes make a field")
    }
}

/// `tracestate`, which may come in several fields.
pub(crate) fn state(headers: &HeaderMap) -> Option<String> {
    let fields = headers.get_all(TRACESTATE).iter();
    let fields: Vec<_> = fields.map(HeaderValue::to_str).collect::<Result<_, _>>().ok()?;
    let state = fields.join(",");
    (!state.is_empty() && state.len() <= STATE).then_some(state)
}

fn digit(value: u8) -> u8 {
    b"0123456789abcdef"[usize::from(value & 15)]
}

/// Reads lower case digits.
fn hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_field_is_read_and_written() {
        let parent = Parent::parse(GOOD.as_bytes()).unwrap();
        assert_eq!((parent.trace[0], parent.span[7], parent.is_sampled()), (0x0a, 0x31, true));
        assert_eq!(parent.field(), GOOD);
        let later = format!("cc{}-more", &GOOD[2..]);
        assert_eq!(Parent::parse(later.as_bytes()), Some(parent));
        let flags = format!("{}fe", &GOOD[..53]);
        assert_eq!(Parent::parse(flags.as_bytes()).unwrap().flags, RANDOM);
    }

    #[test]
    fn what_is_none_is_not_read() {
        let zero = "0".repeat(32);
        for bad in [
            String::new(),
            GOOD[..54].into(),
            format!("{GOOD}-x"),
            format!("{GOOD}x"),
            format!("ff{}", &GOOD[2..]),
            format!("cc{}x", &GOOD[2..]),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            format!("00-{zero}-b7ad6b7169203331-01"),
            format!("00-0af7651916cd43dd8448eb211c80319c-{}-01", &zero[..16]),
        ] {
            assert_eq!(Parent::parse(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
