//! A token's form as a Kubernetes resource.

use serde::Deserialize;
use zeroize::Zeroizing;

use crate::{Token, TokenError, token_line};

const API_VERSION: &str = "vand.dev/v1alpha1";
const KIND: &str = "AccessToken";

/// The part of the resource that counts; the rest is for people, or the cluster's.
#[derive(Deserialize)]
struct AccessToken {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    spec: Option<AccessTokenSpec>,
}

#[derive(Deserialize)]
struct AccessTokenSpec {
    token: Option<String>,
}

/// Whether a text is meant as the resource rather than as a line.
pub(crate) fn is_yaml(text: &str) -> bool {
    let marked = text.lines().next().is_some_and(|line| line.trim_end() == "---");
    marked || text.starts_with('{') || text.contains("apiVersion")
}

pub(crate) fn encode(token: &Token) -> String {
    let mut yaml = format!(
        "apiVersion: {API_VERSION}\nkind: {KIND}\nmetadata:\n  name: {:?}\nspec:\n  issuer: \"{}\"\n  \
         expires: \"{}\"\n  uses: {}\n  endpoints:\n",
        token.name, token.issuer, token.expires, token.uses
    );
    for endpoint in token.endpoints.iter().take(Token::MAX_ENDPOINTS) {
        yaml.push_str(&format!("    - \"{endpoint}\"\n"));
    }
    yaml.push_str(&format!("  token: {}\n", *Zeroizing::new(token.encode())));
    yaml
}

pub(crate) fn decode(text: &str) -> Result<Token, TokenError> {
    let resource: AccessToken = serde_saphyr::from_str(text).map_err(|_| {
        TokenError::Yaml("it can't be read, or apiVersion or kind is missing".into())
    })?;
    if resource.kind != KIND {
        return Err(TokenError::Yaml(format!("its kind is {:?}", shortened(&resource.kind))));
    }
    if resource.api_version != API_VERSION {
        return Err(TokenError::OtherVersion(shortened(&resource.api_version)));
    }
    let line = resource
        .spec
        .and_then(|spec| spec.token)
        .map(Zeroizing::new)
        .ok_or_else(|| TokenError::Yaml("`spec.token` is missing".into()))?;
    if line.trim().is_empty() {
        return Err(TokenError::Yaml("`spec.token` is empty".into()));
    }
    token_line::decode(&line)
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
