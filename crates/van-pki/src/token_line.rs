//! A token's line form.
//!
//! `van1.` and base64url without padding of: length u16 of what follows; format u8 (1); issuer 20
//! bytes; secret 32 bytes; expires i64 (seconds since 1970); uses u32; cost u16 (0: none); name
//! (length u8, text); endpoints (count u8, each length u16 and text); CRC-32 of all before it and
//! the prefix. Numbers are big-endian. The length tells a line that was cut from one that was
//! damaged.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use van_model::{Cost, HostPort, SiteId};
use zeroize::Zeroizing;

use crate::{Secret, Token, TokenError};

const PREFIX: &str = "van1.";
const FORMAT: u8 = 1;
/// Bytes of the length in front.
const LENGTH: usize = 2;
/// Bytes of the checksum behind.
const CHECKSUM: usize = 4;
/// Characters that hold the length.
const LENGTH_TEXT: usize = 4;

pub(crate) fn encode(token: &Token) -> String {
    let mut bytes = Zeroizing::new(vec![0; LENGTH]);
    bytes.push(FORMAT);
    bytes.extend_from_slice(token.issuer.as_bytes());
    bytes.extend_from_slice(token.secret.as_bytes());
    bytes.extend_from_slice(&token.expires.as_second().to_be_bytes());
    bytes.extend_from_slice(&token.uses.to_be_bytes());
    bytes.extend_from_slice(&token.cost.map_or(0, Cost::get).to_be_bytes());
    let name = token.name.as_str().as_bytes();
    bytes.push(u8::try_from(name.len()).expect("a name has at most 63 characters"));
    bytes.extend_from_slice(name);
    let endpoints = &token.endpoints[..token.endpoints.len().min(Token::MAX_ENDPOINTS)];
    bytes.push(u8::try_from(endpoints.len()).expect("at most 16"));
    for endpoint in endpoints {
        let text = endpoint.to_string();
        let length = u16::try_from(text.len()).expect("a host has at most 254 characters");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    let length = u16::try_from(bytes.len() - LENGTH + CHECKSUM).expect("about 5 KiB at most");
    bytes[..LENGTH].copy_from_slice(&length.to_be_bytes());
    let sum = checksum(&bytes);
    bytes.extend_from_slice(&sum.to_be_bytes());
    let mut line = String::from(PREFIX);
    BASE64_URL_SAFE_NO_PAD.encode_string(&*bytes, &mut line);
    line
}

pub(crate) fn decode(text: &str) -> Result<Token, TokenError> {
    let line: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|c| !c.is_ascii_whitespace()).collect());
    let Some(body) = line.strip_prefix(PREFIX) else {
        return Err(without_prefix(&line));
    };
    let Some(head) = body.as_bytes().get(..LENGTH_TEXT) else {
        return Err(TokenError::Truncated);
    };
    let head = BASE64_URL_SAFE_NO_PAD.decode(head).map_err(|_| TokenError::Damaged)?;
    let length = usize::from(u16::from_be_bytes([head[0], head[1]]));
    if body.len() < text_length(LENGTH + length) {
        return Err(TokenError::Truncated);
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Damaged)?;
    let bytes = Zeroizing::new(bytes);
    if bytes.len() != LENGTH + length {
        return Err(TokenError::Damaged);
    }
    let (content, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(TokenError::Damaged)?;
    if checksum(content) != u32::from_be_bytes(*sum) {
        return Err(TokenError::Damaged);
    }
    Fields(content.get(LENGTH..).ok_or(TokenError::Damaged)?).token()
}

/// Characters of base64 without padding for a number of bytes.
fn text_length(bytes: usize) -> usize {
    (bytes * 4).div_ceil(3)
}

fn checksum(content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(PREFIX.as_bytes());
    hasher.update(content);
    hasher.finalize()
}

/// Why a line that doesn't begin with the prefix is no token.
fn without_prefix(line: &str) -> TokenError {
    if PREFIX.starts_with(line) {
        return TokenError::Truncated;
    }
    let Some((version, _)) = line.split_once('.') else {
        return TokenError::NotAToken;
    };
    let number = version.strip_prefix("van").unwrap_or_default();
    if (1..=4).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit()) {
        return TokenError::OtherVersion(version.to_owned());
    }
    TokenError::NotAToken
}

/// What is left to read of a token whose checksum was good; a wrong field is still an error.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn token(mut self) -> Result<Token, TokenError> {
        let [format] = self.array()?;
        if format != FORMAT {
            return Err(TokenError::OtherVersion(format!("van1 format {format}")));
        }
        let issuer = SiteId::from_bytes(self.array()?);
        let secret = Secret::from_bytes(self.array()?);
        let expires = Timestamp::from_second(i64::from_be_bytes(self.array()?))
            .map_err(|_| TokenError::Damaged)?;
        let uses = u32::from_be_bytes(self.array()?);
        let cost = Cost::new(u16::from_be_bytes(self.array()?));
        let [length] = self.array()?;
        let name = self.text(length.into())?.parse().map_err(|_| TokenError::Damaged)?;
        let [count] = self.array()?;
        let count = usize::from(count);
        if !(1..=Token::MAX_ENDPOINTS).contains(&count) || uses == 0 {
            return Err(TokenError::Damaged);
        }
        let mut endpoints = Vec::with_capacity(count);
        for _ in 0..count {
            endpoints.push(self.endpoint()?);
        }
        if !self.0.is_empty() {
            return Err(TokenError::Damaged);
        }
        Ok(Token { issuer, endpoints, secret, expires, uses, name, cost })
    }

    fn endpoint(&mut self) -> Result<HostPort, TokenError> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(length.into())?.parse().map_err(|_| TokenError::Damaged)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TokenError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(TokenError::Damaged)?;
        self.0 = rest;
        Ok(*head)
    }

    fn text(&mut self, length: usize) -> Result<&'a str, TokenError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(TokenError::Damaged)?;
        self.0 = rest;
        std::str::from_utf8(head).map_err(|_| TokenError::Damaged)
    }
}
