//! A listener's route as one argument: `host=shop.example.org,path=/api,to=api=90,to=api-next=10`.

use std::str::FromStr;

use van_model::{Protocol, RouteSpec, parse_duration};

/// A route that was read, and that a listener of HTTP could have.
#[derive(Debug, Clone)]
pub(super) struct Route(pub(super) RouteSpec);

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut route = RouteSpec::default();
        for part in text.split(',') {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("{part:?} is not KEY=VALUE"))?;
            set(&mut route, key.trim(), value)?;
        }
        // What only "tcp" refuses is judged with the whole listener.
        route.check(Protocol::Http).map_err(|error| error.to_string())?;
        Ok(Self(route))
    }
}

fn set(route: &mut RouteSpec, key: &str, value: &str) -> Result<(), String> {
    let text = || value.to_owned();
    let wrong = |why: &dyn std::fmt::Display| format!("{key}: {why}");
    match key {
        "host" => route.host = Some(value.parse().map_err(|e| wrong(&e))?),
        "path" => route.path = Some(text()),
        "path_exact" => route.path_exact = Some(text()),
        "method" => route.method = Some(text()),
        "header" => {
            let (name, value) = pair(key, value)?;
            route.headers.insert(name.to_ascii_lowercase(), value);
        }
        "query" => {
            let (name, value) = pair(key, value)?;
            route.query.insert(name, value);
        }
        "to" => route.to.push(value.parse().map_err(|e| wrong(&e))?),
        "rewrite_host" => route.rewrite_host = Some(text()),
        "rewrite_path" => route.rewrite_path = Some(text()),
        "set_header" => {
            let (name, value) = pair(key, value)?;
            route.set_headers.insert(name.to_ascii_lowercase(), value);
        }
        "remove_header" => route.remove_headers.push(value.to_ascii_lowercase()),
        "timeout" => {
            let time = parse_duration(value).map_err(|e| wrong(&e))?;
            route.timeout_ms = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        }
        other => {
            return Err(format!(
                "{other:?} is no key of a route; accepted: host, path, path_exact, method, header, \
                 query, to, rewrite_host, rewrite_path, set_header, remove_header, timeout"
            ));
        }
    }
    Ok(())
}

fn pair(key: &str, text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("{key}: {text:?} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_keys() {
        let text = "host=*.example.org,path=/api,method=GET,header=X-Canary=1,query=v=2,to=api=90,\
                    to=api-next:81=10,rewrite_host=a.b,rewrite_path=/,set_header=X-A=b c,\
                    remove_header=X-B,timeout=30s";
        let route = text.parse::<Route>().unwrap().0;
        assert_eq!(
            route.to.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["api=90", "api-next:81=10"]
        );
        assert_eq!((route.headers["x-canary"].as_str(), route.query["v"].as_str()), ("1", "2"));
        assert_eq!((route.timeout_ms, route.remove_headers), (Some(30_000), vec!["x-b".into()]));
        assert_eq!(route.set_headers["x-a"], "b c");
    }

    #[test]
    fn mistakes_say_what_is_accepted() {
        for (text, part) in [
            ("to", "is not KEY=VALUE"),
            ("path=/", "to: a route leads to"),
            ("paht=/,to=a", "is no key of a route"),
            ("header=x,to=a", "is not NAME=VALUE"),
            ("method=get,to=a", "in capitals"),
            ("to=a=70000", "is no weight"),
        ] {
            let error = text.parse::<Route>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
