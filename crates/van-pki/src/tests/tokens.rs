//! Tokens in both forms, whole and damaged.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use proptest::prelude::*;
use van_model::{Cost, HostPort, SiteId};

use super::{NOW, at};
use crate::{Secret, Token, TokenError};

fn token() -> Token {
    Token {
        issuer: SiteId::from_bytes([9; 20]),
        endpoints: vec!["public.example.net:8263".parse().unwrap(), "[::1]:8263".parse().unwrap()],
        secret: Secret::generate(),
        expires: at(NOW + 900),
        uses: 1,
        name: "laptop".parse().unwrap(),
        cost: Cost::new(20),
    }
}

/// A line with a right checksum over any content.
fn line_of(content: &[u8]) -> String {
    let mut bytes = u16::try_from(content.len() + 4).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(content);
    let mut sum = crc32fast::Hasher::new();
    sum.update(b"van1.");
    sum.update(&bytes);
    bytes.extend_from_slice(&sum.finalize().to_be_bytes());
    format!("van1.{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

fn content_of(token: &Token) -> Vec<u8> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(&token.encode()[5..]).unwrap();
    bytes[2..bytes.len() - 4].to_vec()
}

#[test]
fn the_line_survives_mail() {
    let token = token();
    let line = token.encode();
    assert!(line.starts_with("van1.") && line.bytes().all(|b| b.is_ascii_graphic()));
    let wrapped: String = line
        .as_bytes()
        .chunks(40)
        .map(|chunk| format!("  {}\r\n", std::str::from_utf8(chunk).unwrap()))
        .collect();
    for text in [line.clone(), format!("\n\t {line} \r\n\n"), format!("\u{feff}{line}\n"), wrapped]
    {
        assert_eq!(Token::decode(&text).as_ref(), Ok(&token), "{text:?}");
    }
}

#[test]
fn the_yaml_form_is_read_back() {
    let token = token();
    let yaml = token.to_access_token_yaml();
    assert!(yaml.starts_with("apiVersion: vand.dev/v1alpha1\nkind: AccessToken\n"));
    assert_eq!(Token::decode(&yaml).as_ref(), Ok(&token));
    assert_eq!(Token::decode(&format!("---\n{yaml}...\n")).as_ref(), Ok(&token));
    // As a cluster gives it back: other fields, other order, other quotes.
    let line = token.encode();
    let back = format!(
        "kind: AccessToken\napiVersion: \"vand.dev/v1alpha1\"\nspec: {{token: '{line}', more: [1]}}\n\
         metadata:\n  name: x\n  labels: {{a: b}}\nstatus: null\n"
    );
    assert_eq!(Token::decode(&back).as_ref(), Ok(&token));
    let json = format!(
        r#"{{"apiVersion":"vand.dev/v1alpha1","kind":"AccessToken","spec":{{"token":"{line}"}}}}"#
    );
    assert_eq!(Token::decode(&json).as_ref(), Ok(&token));
    let folded = format!(
        "apiVersion: vand.dev/v1alpha1\nkind: AccessToken\nspec:\n  token: >-\n    {}\n    {}\n",
        &line[..50],
        &line[50..]
    );
    assert_eq!(Token::decode(&folded).as_ref(), Ok(&token));
}

#[test]
fn yaml_that_is_no_access_token_is_refused() {
    let token = token();
    let yaml = token.to_access_token_yaml();
    let yaml_error = |text: &str| matches!(Token::decode(text), Err(TokenError::Yaml(_)));
    assert!(yaml_error(&yaml.replace("kind: AccessToken", "kind: Secret")));
    assert!(yaml_error(&yaml.replace("  token:", "  tokens:")));
    assert!(yaml_error(&yaml.replace("kind: AccessToken", "kind: [")));
    assert!(yaml_error("apiVersion: vand.dev/v1alpha1\nkind: AccessToken\n"));
    assert!(yaml_error("apiVersion: vand.dev/v1alpha1\nkind: AccessToken\nspec: {token: ' '}\n"));
    assert!(yaml_error("{}") && yaml_error("---") && yaml_error("apiVersion: &a [*a, *a]"));
    assert_eq!(
        Token::decode(&yaml.replace("v1alpha1", "v2")),
        Err(TokenError::OtherVersion("vand.dev/v2".into()))
    );
    let middle = yaml.len() - 20;
    assert_eq!(Token::decode(&yaml[..middle]), Err(TokenError::Truncated));
    for end in 0..middle {
        assert!(Token::decode(&yaml[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_line_cut_anywhere_is_told_from_a_damaged_one() {
    let line = token().encode();
    assert_eq!(Token::decode(""), Err(TokenError::Empty));
    assert_eq!(Token::decode(" \r\n\t"), Err(TokenError::Empty));
    for end in 1..line.len() {
        assert_eq!(Token::decode(&line[..end]), Err(TokenError::Truncated), "cut at {end}");
        let rest = &line[end..];
        let error = Token::decode(rest).unwrap_err();
        // A last character `v` might be a token's first.
        assert!("van1.".starts_with(rest) || error == TokenError::NotAToken, "{rest}: {error:?}");
    }
}

#[test]
fn a_line_damaged_at_any_byte_is_refused() {
    let line = token().encode();
    for at_byte in 0..line.len() {
        for other in ["A", "B", "z", "9", "_", "-", "=", "+", "/", "!", ".", "\0", "é"] {
            if line[at_byte..=at_byte] == *other {
                continue;
            }
            let damaged = format!("{}{other}{}", &line[..at_byte], &line[at_byte + 1..]);
            let error = Token::decode(&damaged).unwrap_err();
            let fits = match at_byte {
                0..5 => matches!(error, TokenError::NotAToken | TokenError::OtherVersion(_)),
                // The length itself: the line seems too short or too long.
                5..9 => matches!(error, TokenError::Truncated | TokenError::Damaged),
                _ => error == TokenError::Damaged,
            };
            assert!(fits, "{other:?} at {at_byte}: {error:?}");
        }
    }
    assert_eq!(Token::decode(&format!("{line}A")), Err(TokenError::Damaged));
    assert_eq!(Token::decode(&format!("{line}{line}")), Err(TokenError::Damaged));
    let swapped = format!("van1.{}{}{}", &line[9..13], &line[5..9], &line[13..]);
    assert!(Token::decode(&swapped).is_err());
    assert!(matches!(
        Token::decode(&line.to_lowercase()),
        Err(TokenError::Damaged | TokenError::Truncated)
    ));
}

#[test]
fn other_things_are_told_from_tokens() {
    let line = token().encode();
    let version = |word: &str| Err(TokenError::OtherVersion(word.into()));
    assert_eq!(Token::decode(&line.replace("van1.", "van2.")), version("van2"));
    assert_eq!(Token::decode("van10.AAAA"), version("van10"));
    for text in
        ["hello", "van.x", "vanx.y", "van12345.x", "-----BEGIN CERTIFICATE-----", "eyJh.b.c"]
    {
        assert_eq!(Token::decode(text), Err(TokenError::NotAToken), "{text:?}");
    }
    let long = "van1.".to_owned() + &"A".repeat(16 * 1024);
    assert_eq!(Token::decode(&long), Err(TokenError::TooLong { len: long.len() }));
    let spaces = " ".repeat(16 * 1024 + 1);
    assert_eq!(Token::decode(&spaces), Err(TokenError::TooLong { len: spaces.len() }));
}

#[test]
fn a_right_checksum_does_not_make_a_token() {
    let good = content_of(&token());
    assert!(Token::decode(&line_of(&good)).is_ok());
    let mut other_format = good.clone();
    other_format[0] = 2;
    assert_eq!(
        Token::decode(&line_of(&other_format)),
        Err(TokenError::OtherVersion("van1 format 2".into()))
    );
    let altered = |at_byte: usize, bytes: &[u8]| {
        let mut content = good.clone();
        content[at_byte..at_byte + bytes.len()].copy_from_slice(bytes);
        Token::decode(&line_of(&content))
    };
    let (expires, uses, name) = (53, 61, 67);
    assert_eq!(altered(expires, &[0x7f; 8]), Err(TokenError::Damaged), "a time beyond all");
    assert_eq!(altered(uses, &[0; 4]), Err(TokenError::Damaged), "no use");
    assert_eq!(altered(name, &[0]), Err(TokenError::Damaged), "no name");
    assert_eq!(altered(name, &[255]), Err(TokenError::Damaged), "a name beyond the end");
    assert_eq!(altered(name + 1, b"A"), Err(TokenError::Damaged), "an upper-case name");
    assert_eq!(altered(name + 1, &[0xff]), Err(TokenError::Damaged), "no UTF-8");
    let count = name + 1 + "laptop".len();
    assert_eq!(good[count], 2);
    for endpoints in [0, 1, 3, 17, 255] {
        assert_eq!(altered(count, &[endpoints]), Err(TokenError::Damaged), "{endpoints} endpoints");
    }
    assert_eq!(altered(count + 3, b":"), Err(TokenError::Damaged), "a bad host");
    for end in 1..good.len() {
        assert_eq!(Token::decode(&line_of(&good[..end])), Err(TokenError::Damaged), "cut at {end}");
    }
    assert_eq!(Token::decode(&line_of(b"")), Err(TokenError::Damaged));
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(Token::decode(&line_of(&longer)), Err(TokenError::Damaged));
}

#[test]
fn the_largest_token_fits() {
    let host = format!("{0}.{0}.{0}.{1}:65535", "h".repeat(63), "h".repeat(61));
    let mut token = Token {
        endpoints: vec![host.parse().unwrap(); 20],
        name: "n".repeat(63).parse().unwrap(),
        ..token()
    };
    let line = token.encode();
    let yaml = token.to_access_token_yaml();
    token.endpoints.truncate(Token::MAX_ENDPOINTS);
    assert_eq!(Token::decode(&line).as_ref(), Ok(&token));
    assert_eq!(Token::decode(&yaml).as_ref(), Ok(&token), "{} bytes", yaml.len());
}

#[test]
fn nothing_shows_the_secret() {
    let token = token();
    let shown = format!("{token:?}");
    assert!(shown.contains("<secret>") && !shown.contains(&token.encode()[40..60]));
    assert!(token.is_expired(at(NOW + 900)) && !token.is_expired(at(NOW + 899)));
}

#[test]
fn every_error_says_what_to_do_and_has_its_own_code() {
    let errors = [
        TokenError::Empty,
        TokenError::NotAToken,
        TokenError::Truncated,
        TokenError::Damaged,
        TokenError::OtherVersion("van2".into()),
        TokenError::TooLong { len: 20_000 },
        TokenError::Yaml("why".into()),
    ];
    let codes: std::collections::BTreeSet<_> = errors.iter().map(TokenError::code).collect();
    assert_eq!(codes.len(), errors.len());
    assert!(errors.iter().all(|error| error.to_string().starts_with("reading the token: ")));
}

fn any_endpoint() -> impl Strategy<Value = HostPort> {
    let host = prop_oneof![
        "[a-z][a-z0-9]{0,20}(\\.[a-z][a-z0-9-]{0,20}[a-z0-9]){0,3}",
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
    ];
    (host, 1..=u16::MAX).prop_map(|(host, port)| format!("{host}:{port}").parse().unwrap())
}

prop_compose! {
    fn any_token()(
        issuer in any::<[u8; 20]>(),
        endpoints in prop::collection::vec(any_endpoint(), 1..=16),
        secret in any::<[u8; 32]>(),
        expires in -1_000_000_000i64..200_000_000_000,
        uses in 1..=u32::MAX,
        name in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
        cost in any::<u16>(),
    ) -> Token {
        Token {
            issuer: SiteId::from_bytes(issuer),
            endpoints,
            secret: Secret::from_bytes(secret),
            expires: at(expires),
            uses,
            name: name.parse().unwrap(),
            cost: Cost::new(cost),
        }
    }
}

proptest! {
    #[test]
    fn any_token_comes_back_in_both_forms(token in any_token()) {
        prop_assert_eq!(&Token::decode(&token.encode()).unwrap(), &token);
        prop_assert_eq!(&Token::decode(&token.to_access_token_yaml()).unwrap(), &token);
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,400}", head in "(van1\\.|apiVersion: |---\n|\\{)?") {
        prop_assert!(Token::decode(&(head + &text)).is_err());
    }

    #[test]
    fn no_content_makes_it_panic(content in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut content = content;
        if let Some(format) = content.first_mut() {
            *format = 1;
        }
        prop_assert!(Token::decode(&line_of(&content)).is_err());
    }
}
