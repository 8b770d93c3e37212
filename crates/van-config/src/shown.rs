//! The effective configuration as it is shown: flat, with origins, without secrets.

use serde_json::{Map, Value, json};
use van_model::api::ConfigValue;
use van_model::{ConnectorSpec, LinkSpec, ListenerSpec, TokenSpec};

use crate::link;
use crate::load::Loaded;

impl Loaded {
    /// Every value that is set or has a default, in the order of the keys; passwords are masked.
    pub fn values(&self) -> Vec<ConfigValue> {
        let config = &self.config;
        let mut limits = object(&config.limits);
        limits.insert("flow_window_max".into(), config.limits.flow_window_max.to_string().into());
        let sections = json!({
            "site": config.site,
            "accept": config.accept,
            "link": named(&config.links, |link| &link.name, shown_link),
            "connector": named(&config.connectors, |c: &ConnectorSpec| &c.name, shown_connector),
            "listener": named(&config.listeners, |l: &ListenerSpec| &l.name, shown_listener),
            "services": config.services,
            "podman": config.podman,
            "identity": config.identity,
            "api": config.api,
            "metrics": config.metrics,
            "tracing": config.tracing,
            "log": config.log,
            "limits": limits,
        });
        let mut values = Vec::new();
        self.flatten("", sections, &mut values);
        values.sort_by(|a, b| a.key.cmp(&b.key));
        values
    }

    fn flatten(&self, key: &str, value: Value, values: &mut Vec<ConfigValue>) {
        match value {
            Value::Null => {}
            Value::Object(inner) => {
                for (name, value) in inner {
                    let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                    self.flatten(&key, value, values);
                }
            }
            value => values.push(ConfigValue {
                key: key.into(),
                value,
                origin: self.origins.get(key).to_string(),
            }),
        }
    }
}

fn object(spec: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(spec) {
        Ok(Value::Object(object)) => object,
        // A spec is a struct of plain values: it is always an object.
        Ok(_) | Err(_) => Map::new(),
    }
}

fn named<T>(
    specs: &[T],
    name: fn(&T) -> &van_model::Name,
    show: fn(&T) -> Map<String, Value>,
) -> Value {
    let entry = |spec: &T| {
        let mut shown = show(spec);
        // The key says it already.
        shown.remove("name");
        (name(spec).to_string(), Value::Object(shown))
    };
    Value::Object(specs.iter().map(entry).collect())
}

/// With the keys about checks as files write them.
fn shown_connector(connector: &ConnectorSpec) -> Map<String, Value> {
    let mut shown = object(connector);
    shown.remove("timing");
    let timing = &connector.timing;
    for (key, ms) in [
        ("check_idle", timing.idle_ms),
        ("check_interval", timing.interval_ms),
        ("check_timeout", timing.timeout_ms),
    ] {
        let whole = ms.is_multiple_of(1000);
        let text = if whole { format!("{}s", ms / 1000) } else { format!("{ms}ms") };
        shown.insert(key.into(), text.into());
    }
    shown.insert("check_failures".into(), timing.failures.into());
    shown.insert("check_successes".into(), timing.successes.into());
    shown
}

/// Without an address where it does without one.
fn shown_listener(listener: &ListenerSpec) -> Map<String, Value> {
    let mut shown = object(listener);
    if shown.remove("only_routes").is_some() {
        shown.remove("address");
    }
    shown
}

fn shown_link(link: &LinkSpec) -> Map<String, Value> {
    let mut shown = object(link);
    let token = match &link.token {
        TokenSpec::File(path) => path.display().to_string(),
        TokenSpec::Credential(name) => format!("{}{name}", link::CREDENTIAL),
        TokenSpec::Text(_) => "***".into(),
    };
    shown.insert("token".into(), token.into());
    if let Some(proxy) = &link.proxy {
        shown.insert("proxy".into(), link::masked(proxy).into());
    }
    shown
}
