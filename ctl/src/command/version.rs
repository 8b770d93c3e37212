//! `vanctl version`.

use serde_json::{Value, json};

use crate::cli::Session;
use crate::error::{Outcome, one_line};

pub(super) async fn run(session: &mut Session) -> Outcome {
    let own = env!("CARGO_PKG_VERSION");
    // The client's version is worth knowing also, and just, when the daemon can't be reached.
    let daemon = session.client.get("/v1/status").await.ok();
    let field = |key| daemon.as_ref()?.get(key)?.as_str().map(one_line);
    let (version, site) = (field("version"), field("name"));
    if !session.output.for_people() {
        let daemon = version.map(|version| json!({ "version": version, "site": site }));
        let daemon = daemon.unwrap_or(Value::Null);
        return session.output.document(&json!({ "client": { "version": own }, "daemon": daemon }));
    }
    let mut text = format!("vanctl {own}\n");
    if let Some(version) = version {
        text.push_str(&format!("vand {version} (site {})\n", site.unwrap_or_default()));
    }
    session.output.text(&text)
}
