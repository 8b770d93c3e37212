//! `[[link]]`: a link that this site dials.

use van_model::HostPort;

use crate::mistake::Problem;
use crate::schema::{self, Key, Kind, Section};
use crate::text;

pub(crate) const SECTION: Section = Section {
    name: "link",
    list: true,
    keys: &[
        Key::new("name", Kind::Text(text::name, text::NAME)),
        Key::new("token", Kind::Text(token, "the path of a token file, or credential:NAME")),
        Key::new("cost", Kind::Number(1, 65535)),
        Key::new("proxy", Kind::Text(proxy, PROXY)),
    ],
    required: &["name", "token"],
    whole: schema::fits,
};

/// What a token begins with that the service manager hands over.
pub(crate) const CREDENTIAL: &str = "credential:";

/// The longest name of a credential.
const MAX_CREDENTIAL: usize = 255;

fn token(text: &str, folder: Option<&str>) -> Result<String, Problem> {
    if text.starts_with("van1.") {
        // The text of a token must not get into a file that others may read, nor into a message.
        return Err(Problem::new(
            "this is a token, not a path",
            "put the token into a file of its own (mode 0600) and write the file's path",
        ));
    }
    file(text, folder)
}

/// A file's path, or a credential.
pub(crate) fn file(text: &str, folder: Option<&str>) -> Result<String, Problem> {
    let Some(name) = text.strip_prefix(CREDENTIAL) else { return text::path(text, folder) };
    // systemd allows what a file may be called; more than this is never needed.
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let named = name.bytes().all(fits) && !name.starts_with('.') && !name.is_empty();
    if named && name.len() <= MAX_CREDENTIAL {
        return Ok(text.into());
    }
    Err(Problem::new(
        format!("{:?} is no credential's name", text::shorten(name)),
        "accepted: credential:NAME, as in LoadCredential=NAME:/path of the unit",
    ))
}

const PROXY: &str = "http://[user[:password]@]host:port";
/// A browser's limit for names and passwords together is no larger.
const PROXY_MAX: usize = 1024;

/// Checks a proxy's URL; a password may stand in it, so no message repeats any part of it.
fn proxy(text: &str, _: Option<&str>) -> Result<String, Problem> {
    let accepted = || format!("accepted: {PROXY}");
    if text.starts_with("https://") {
        let what = "a proxy that is reached by https is not supported";
        return Err(Problem::new(what, accepted()));
    }
    let Some(rest) = text.strip_prefix("http://").filter(|_| text.len() <= PROXY_MAX) else {
        return Err(Problem::new("this is no proxy URL", accepted()));
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (user, host) = rest.rsplit_once('@').map_or((None, rest), |(u, h)| (Some(u), h));
    if user.is_some_and(|user| {
        user.is_empty()
            || user.starts_with(':')
            || !user.bytes().all(|b| b.is_ascii_graphic() && b != b'/' && b != b'@')
    }) {
        let what = "the proxy's user or password is not in the form of a URL";
        return Err(Problem::new(what, "write other characters than letters and digits as %XX"));
    }
    let host: HostPort = host
        .parse()
        .map_err(|_| Problem::new("the proxy's host and port are not usable", accepted()))?;
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    Ok(format!("http://{user}{host}"))
}

/// A proxy's URL with its password masked.
pub(crate) fn masked(proxy: &str) -> String {
    let Some((user, host)) = proxy.rsplit_once('@') else { return proxy.into() };
    let scheme = "http://";
    let user = user.strip_prefix(scheme).unwrap_or(user);
    match user.split_once(':') {
        Some((user, _)) => format!("{scheme}{user}:***@{host}"),
        None => proxy.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_urls() {
        for good in ["http://proxy:3128", "http://u@p:1", "http://u:p%40w@[::1]:3128"] {
            assert_eq!(proxy(good, None).as_deref(), Ok(good));
        }
        assert_eq!(proxy("http://proxy:3128/", None).as_deref(), Ok("http://proxy:3128"));
        let bad = [
            "https://u:secret@proxy:1",
            "proxy:3128",
            "http://u:secret",
            "http://u:secret@proxy",
            "http://:secret@proxy:1",
            "http://u:secret x@proxy:1",
            "http://u:secret@proxy:1/path",
            "socks5://u:secret@proxy:1",
        ];
        for url in bad {
            let problem = proxy(url, None).unwrap_err();
            assert!(!problem.what.contains("secret") && !problem.hint.contains("secret"), "{url}");
        }
    }

    #[test]
    fn passwords_are_masked() {
        assert_eq!(masked("http://u:s3cret@p:1"), "http://u:***@p:1");
        assert_eq!(masked("http://u@p:1"), "http://u@p:1");
        assert_eq!(masked("http://p:1"), "http://p:1");
    }
}
