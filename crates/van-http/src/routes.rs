//! Which of a listener's routes a request takes, and what the route changes in it.
//!
//! Routes stand in the order in which they win, so that the first that matches is the one; the order is
//! that of the Gateway API's HTTPRoute. Paths are compared as they were sent: neither `%2F` nor `..` is
//! resolved, here or in what targets get.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{Method, Uri, Version};
use percent_encoding::percent_decode_str;
use van_model::{HostPattern, RouteSpec};

/// A listener's routes.
#[derive(Debug, Default)]
pub struct Routes {
    /// In the order in which they win.
    rules: Vec<Rule>,
    /// What matches none goes nowhere.
    only: bool,
}

/// One route.
#[derive(Debug)]
pub(crate) struct Rule {
    /// Its place in the list of the listener.
    pub(crate) index: usize,
    host: Option<HostPattern>,
    path: Option<Path>,
    method: Option<Method>,
    headers: Vec<(HeaderName, HeaderValue)>,
    query: BTreeMap<String, String>,
    rewrite_host: Option<HeaderValue>,
    rewrite_path: Option<String>,
    set_headers: Vec<(HeaderName, HeaderValue)>,
    remove_headers: Vec<HeaderName>,
    pub(crate) timeout: Option<Duration>,
    /// Its path, for spans.
    pub(crate) shown: Option<Arc<str>>,
}

#[derive(Debug)]
enum Path {
    Exact(String),
    /// Without a slash at its end.
    Prefix(String),
}

/// What orders routes: the least wins.
type Rank<'a> = (
    Reverse<Option<&'a HostPattern>>,
    Reverse<(bool, usize)>,
    bool,
    Reverse<usize>,
    Reverse<usize>,
);

impl Routes {
    /// Makes the routes of a listener; `only`: what matches none goes nowhere.
    pub fn new(specs: &[RouteSpec], only: bool) -> Self {
        let mut rules: Vec<Rule> = specs.iter().enumerate().map(|(n, s)| Rule::new(n, s)).collect();
        // Equal ones stay in the order of the list.
        rules.sort_by(|one, other| one.rank().cmp(&other.rank()));
        Self { rules, only }
    }

    /// The place in the list of the route for connections to a host, of routes that go by host alone.
    pub fn of_host(&self, host: &str) -> Option<usize> {
        self.rules.iter().find(|rule| rule.is_for(host)).map(|rule| rule.index)
    }

    /// The route for a request, as it came from the client.
    pub(crate) fn of(&self, request: &Parts) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let authority = request.uri.authority().map(Authority::as_str);
        let field = || request.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = authority.or_else(field).unwrap_or_default();
        self.rules.iter().find(|rule| rule.is_for(host) && rule.matches(request))
    }

    pub(crate) fn goes_nowhere(&self) -> bool {
        self.only
    }
}

impl Rule {
    fn new(index: usize, spec: &RouteSpec) -> Self {
        let prefix = |path: &String| Path::Prefix(path.trim_end_matches('/').to_owned());
        let exact = spec.path_exact.clone().map(Path::Exact);
        let value = |text: &str| HeaderValue::from_str(text).ok();
        let fields = |fields: &BTreeMap<String, String>| {
            let field = |(name, text): (&String, &String)| Some((name.parse().ok()?, value(text)?));
            fields.iter().filter_map(field).collect()
        };
        Self {
            index,
            host: spec.host.clone(),
            path: exact.or_else(|| spec.path.as_ref().map(prefix)),
            method: spec.method.as_ref().and_then(|method| method.parse().ok()),
            headers: fields(&spec.headers),
            query: spec.query.clone(),
            rewrite_host: spec.rewrite_host.as_deref().and_then(value),
            rewrite_path: spec.rewrite_path.clone(),
            set_headers: fields(&spec.set_headers),
            remove_headers: spec.remove_headers.iter().filter_map(|n| n.parse().ok()).collect(),
            timeout: spec.timeout(),
            shown: spec.path_exact.as_ref().or(spec.path.as_ref()).map(|path| path.as_str().into()),
        }
    }

    fn rank(&self) -> Rank<'_> {
        let path = match &self.path {
            Some(Path::Exact(path)) => (true, path.len()),
            Some(Path::Prefix(path)) => (false, path.len()),
            None => (false, 0),
        };
        let (headers, query) = (Reverse(self.headers.len()), Reverse(self.query.len()));
        (Reverse(self.host.as_ref()), Reverse(path), self.method.is_none(), headers, query)
    }

    fn is_for(&self, host: &str) -> bool {
        self.host.as_ref().is_none_or(|pattern| pattern.matches(host))
    }

    fn matches(&self, request: &Parts) -> bool {
        self.method.as_ref().is_none_or(|method| *method == request.method)
            && self.path.as_ref().is_none_or(|path| path.matches(request.uri.path()))
            && self.headers.iter().all(|(name, value)| has_field(&request.headers, name, value))
            && self.query.iter().all(|(name, value)| {
                parameter(request.uri.query().unwrap_or_default(), name)
                    .is_some_and(|found| found == value.as_str())
            })
    }

    /// Changes a request that is made for a target already.
    pub(crate) fn change(&self, request: &mut Parts) {
        for name in &self.remove_headers {
            request.headers.remove(name);
        }
        for (name, value) in &self.set_headers {
            request.headers.insert(name, value.clone());
        }
        if let Some(host) = &self.rewrite_host {
            if request.version == Version::HTTP_2 {
                let authority = host.to_str().ok().and_then(|host| host.parse().ok());
                self.change_uri(request, |parts| parts.authority = authority);
            } else {
                request.headers.insert(HOST, host.clone());
            }
        }
        let rewritten =
            self.rewrite_path.as_deref().and_then(|fresh| self.rewritten(fresh, &request.uri));
        if let Some(path) = rewritten {
            self.change_uri(request, |parts| parts.path_and_query = Some(path));
        }
    }

    fn change_uri(&self, request: &mut Parts, change: impl FnOnce(&mut http::uri::Parts)) {
        let mut parts = std::mem::take(&mut request.uri).into_parts();
        change(&mut parts);
        // Only an authority goes or comes, and a path is there.
        request.uri = Uri::from_parts(parts).unwrap_or_default();
    }

    /// The path with `fresh` in the place of what matched, and the query.
    fn rewritten(&self, fresh: &str, uri: &Uri) -> Option<PathAndQuery> {
        let path = uri.path().strip_prefix('/').map(|_| uri.path())?;
        let rest = match &self.path {
            Some(Path::Exact(_)) => "",
            Some(Path::Prefix(prefix)) => path.strip_prefix(prefix.as_str())?,
            None => path,
        };
        let is_exact = matches!(self.path, Some(Path::Exact(_)));
        let start = if is_exact { fresh } else { fresh.trim_end_matches('/') };
        let mut text =
            if start.is_empty() && rest.is_empty() { "/".into() } else { format!("{start}{rest}") };
        if let Some(query) = uri.query() {
            text.push('?');
            text.push_str(query);
        }
        text.parse().ok()
    }
}

impl Path {
    fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(exact) => path == exact,
            Self::Prefix(prefix) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

/// Whether a field has this value; that of several fields is theirs joined by commas.
fn has_field(headers: &HeaderMap, name: &HeaderName, wanted: &HeaderValue) -> bool {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return false };
    let more: Vec<_> = values.map(HeaderValue::as_bytes).collect();
    if more.is_empty() {
        return first == wanted;
    }
    let all: Vec<_> = std::iter::once(first.as_bytes()).chain(more).collect();
    all.join(&b","[..]) == wanted.as_bytes()
}

/// The first parameter of a name.
fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let plain = |text: &'a str| percent_decode_str(text).decode_utf8_lossy();
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(found, _)| plain(found) == name).map(|(_, value)| plain(value)).next()
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn spec(json: serde_json::Value) -> RouteSpec {
        let spec: RouteSpec = serde_json::from_value(json).unwrap();
        spec.check(van_model::Protocol::Http).unwrap();
        spec
    }

    fn request(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    macro_rules! route {
        ($($json:tt)*) => { spec(serde_json::json!({ "to": ["a"], $($json)* })) };
    }

    fn found(specs: &[RouteSpec], request: &Parts) -> Option<usize> {
        Routes::new(specs, false).of(request).map(|rule| rule.index)
    }

    #[test]
    fn prefixes_go_by_whole_elements() {
        for (prefix, path, fits) in [
            ("/api", "/api", true),
            ("/api", "/api/", true),
            ("/api", "/api/x?q=/", true),
            ("/api/", "/api", true),
            ("/api", "/apis", false),
            ("/api", "/API", false),
            ("/api", "/%61pi", false),
            ("/", "/", true),
            ("/", "/any", true),
            ("/a/b", "/a/bc", false),
        ] {
            let one = [route!("path": prefix)];
            assert_eq!(found(&one, &request("GET", path, &[])).is_some(), fits, "{prefix} {path}");
        }
        let exact = [route!("path_exact": "/a")];
        let fits = |path| found(&exact, &request("GET", path, &[])).is_some();
        assert!(fits("/a") && fits("/a?b") && !fits("/a/") && !fits("/a/b"));
    }

    #[test]
    fn fields_and_parameters_match_as_wholes() {
        let by_field = [route!("headers": { "x-canary": "1" })];
        let fits = |fields: &[_]| found(&by_field, &request("GET", "/", fields)).is_some();
        assert!(fits(&[("X-Canary", "1")]));
        assert!(!fits(&[("x-canary", "11")]) && !fits(&[]));
        assert!(!fits(&[("x-canary", "1"), ("x-canary", "2")]), "together they say 1,2");
        let joined = [route!("headers": { "x-canary": "1,2" })];
        assert!(
            found(&joined, &request("GET", "/", &[("x-canary", "1"), ("x-canary", "2")])).is_some()
        );
        let by_query = [route!("query": { "a b": "c" })];
        let fits = |uri| found(&by_query, &request("GET", uri, &[])).is_some();
        assert!(fits("/?x=1&a%20b=c") && fits("/?a%20b=%63&a%20b=d"));
        assert!(!fits("/?a%20b=d&a%20b=c") && !fits("/") && !fits("/?a%20b"));
    }

    #[test]
    fn the_more_specific_wins() {
        // From the strongest to the weakest, and in the list the other way round.
        let mut specs = [
            route!("host": "a.b.example.org"),
            route!("host": "*.b.example.org"),
            route!("host": "*.example.org"),
            route!("path_exact": "/a/b"),
            route!("path": "/a/b"),
            route!("path": "/a", "method": "GET"),
            route!("path": "/a", "headers": { "x": "1", "y": "1" }),
            route!("path": "/a", "headers": { "x": "1" }, "query": { "q": "1" }),
            route!("path": "/a", "headers": { "x": "1" }),
            route!("path": "/a", "query": { "q": "1" }),
            route!("path": "/a"),
            route!("path": "/a"),
            route!(),
        ];
        let order = Routes::new(&specs, false);
        assert!(order.rules.iter().map(|rule| rule.index).eq(0..specs.len()), "{order:?}");
        specs.reverse();
        let last = specs.len() - 1;
        let reversed = Routes::new(&specs, false);
        let indices: Vec<_> = reversed.rules.iter().map(|rule| last - rule.index).collect();
        // Only the two equal ones stay as the list has them.
        assert_eq!(indices, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 10, 12]);
    }

    #[test]
    fn rewrites() {
        for (route, from, to) in [
            (route!("path": "/foo", "rewrite_path": "/xyz"), "/foo/bar?q", "/xyz/bar?q"),
            (route!("path": "/foo", "rewrite_path": "/xyz/"), "/foo/bar", "/xyz/bar"),
            (route!("path": "/foo/", "rewrite_path": "/xyz"), "/foo/bar", "/xyz/bar"),
            (route!("path": "/foo", "rewrite_path": "/xyz"), "/foo", "/xyz"),
            (route!("path": "/foo", "rewrite_path": "/xyz"), "/foo/", "/xyz/"),
            (route!("path": "/foo", "rewrite_path": "/"), "/foo/bar", "/bar"),
            (route!("path": "/foo", "rewrite_path": "/"), "/foo", "/"),
            (route!("path": "/foo", "rewrite_path": "/"), "/foo?q=1", "/?q=1"),
            (route!("path": "/", "rewrite_path": "/v2"), "/a", "/v2/a"),
            (route!("path_exact": "/a", "rewrite_path": "/b/"), "/a?q", "/b/?q"),
            (route!("rewrite_path": "/b"), "/a", "/b/a"),
        ] {
            let mut request = request("GET", from, &[]);
            Routes::new(&[route], false).of(&request).unwrap().change(&mut request);
            assert_eq!(request.uri.to_string(), to, "{from}");
        }
        let route = route!("rewrite_host": "b.c:81", "set_headers": { "x-a": "2" }, "remove_headers": ["x-b"]);
        let routes = Routes::new(&[route], false);
        let mut one =
            request("GET", "/", &[("host", "a"), ("x-a", "1"), ("x-a", "3"), ("x-b", "1")]);
        routes.of(&one).unwrap().change(&mut one);
        assert_eq!(one.headers[HOST], "b.c:81");
        assert!(one.headers.get_all("x-a").iter().eq(["2"]) && !one.headers.contains_key("x-b"));
        let mut two = request("GET", "http://a/b?c", &[]);
        two.version = Version::HTTP_2;
        routes.of(&two).unwrap().change(&mut two);
        assert_eq!(two.uri.to_string(), "http://b.c:81/b?c");
    }

    /// The same written as the rules are told: every route is asked, and the best of all is taken.
    fn naive(specs: &[RouteSpec], host: &str, request: &Parts) -> Option<usize> {
        let fits = |spec: &&(usize, &RouteSpec)| {
            let spec = spec.1;
            let path = request.uri.path();
            let elements = |path: &str| -> Vec<String> {
                path.split('/').skip(1).map(str::to_owned).collect()
            };
            let host_fits = spec.host.as_ref().is_none_or(|pattern| {
                let (pattern, host) = (pattern.as_str(), host.to_ascii_lowercase());
                match pattern.strip_prefix("*.") {
                    Some(name) => {
                        host.ends_with(&format!(".{name}")) && host.len() > name.len() + 1
                    }
                    None => host == pattern,
                }
            });
            let prefix_fits = spec.path.as_ref().is_none_or(|prefix| {
                let mut wanted = elements(prefix);
                while wanted.last().is_some_and(String::is_empty) {
                    wanted.pop();
                }
                elements(path).starts_with(&wanted)
            });
            host_fits
                && prefix_fits
                && spec.path_exact.as_ref().is_none_or(|exact| exact == path)
                && spec.method.as_ref().is_none_or(|method| method == request.method.as_str())
                && spec.headers.iter().all(|(n, v)| request.headers.get(n).is_some_and(|f| f == v))
        };
        let all: Vec<_> = specs.iter().enumerate().collect();
        let better = |(n, spec): &&(usize, &RouteSpec)| {
            let host = spec.host.as_ref().map_or((0, 0), |host| {
                let text = host.as_str();
                (if text.starts_with('*') { 1 } else { 2 }, text.len())
            });
            let exact = spec.path_exact.is_some();
            let path = spec.path.as_deref().unwrap_or_default().trim_end_matches('/').len();
            let path = spec.path_exact.as_ref().map_or(path, String::len);
            (host, exact, path, spec.method.is_some(), spec.headers.len(), Reverse(*n))
        };
        all.iter().filter(fits).max_by_key(better).map(|(n, _)| *n)
    }

    prop_compose! {
        fn any_route()(
            host in prop::option::of(prop::sample::select(vec!["a.org", "*.org", "b.a.org", "*.a.org"])),
            path in prop::option::of("(/[ab]{0,2}){1,3}"),
            exact in any::<bool>(),
            method in prop::option::of(prop::sample::select(vec!["GET", "PUT"])),
            headers in prop::collection::btree_map("[xy]", "[01]", 0..3),
        ) -> RouteSpec {
            let (prefix, whole) = if exact { (None, path) } else { (path, None) };
            RouteSpec {
                host: host.map(|host| host.parse().unwrap()),
                path: prefix,
                path_exact: whole,
                method: method.map(str::to_owned),
                headers,
                to: vec!["a".parse().unwrap()],
                ..RouteSpec::default()
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn as_a_naive_matcher_says(
            specs in prop::collection::vec(any_route(), 0..8),
            host in prop::sample::select(vec!["a.org", "B.a.org", "c.b.a.org", "org", "x.org", ""]),
            path in "(/[ab]{0,2}){1,4}",
            method in prop::sample::select(vec!["GET", "PUT", "POST"]),
            headers in prop::collection::btree_map("[xy]", "[01]", 0..3),
        ) {
            let mut fields = vec![("host", host)];
            fields.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            let request = request(method, &path, &fields);
            prop_assert_eq!(found(&specs, &request), naive(&specs, host, &request));
        }
    }
}
