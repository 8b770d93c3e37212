//! A container or pod by its name.

use std::fmt;
use std::num::NonZeroU16;
use std::str::FromStr;

use crate::EndpointError;

/// What podman runs under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WorkloadKind {
    /// One container.
    Container,
    /// Containers that share a network namespace.
    Pod,
}

impl WorkloadKind {
    /// The word before the slash, as `podman` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Pod => "pod",
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A TCP port inside a container or pod: `container/NAME:port` or `pod/NAME:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name or its id, 1 to [`Workload::MAX_NAME`] characters.
    pub name: Box<str>,
    /// The port inside, 1..=65535.
    pub port: NonZeroU16,
}

impl Workload {
    /// The most characters of a name.
    pub const MAX_NAME: usize = 128;

    /// Whether podman would take this as a name.
    pub fn is_name(text: &str) -> bool {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        text.len() <= Self::MAX_NAME
            && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
            && text.bytes().all(fits)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}:{}", self.kind, self.name, self.port)
    }
}

impl FromStr for Workload {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, rest) = text.split_once('/').unwrap_or((text, ""));
        let kind = match kind {
            "container" => WorkloadKind::Container,
            "pod" => WorkloadKind::Pod,
            _ => return Err(EndpointError::Host(text.into())),
        };
        let (name, port) = rest.rsplit_once(':').unwrap_or((rest, ""));
        if !Self::is_name(name) {
            return Err(EndpointError::WorkloadName(name.into()));
        }
        if port.is_empty() {
            return Err(EndpointError::NoWorkloadPort(text.trim_end_matches(':').into()));
        }
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits);
        let port = port.ok_or_else(|| EndpointError::Port(text.into()))?;
        Ok(Self { kind, name: name.into(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports() {
        for good in ["container/pg:5432", "pod/shop_1.a-b:80", "container/3f2a:65535"] {
            assert_eq!(good.parse::<Workload>().unwrap().to_string(), good);
        }
        let long = format!("pod/{}:1", "x".repeat(129));
        for bad in [
            "container/pg",
            "container/pg:",
            "container/pg:0",
            "container/pg:+1",
            "container/pg:65536",
            "container/:1",
            "container/-x:1",
            "container/a b:1",
            "container/a/b:1",
            "deployment/shop:1",
            "container",
            &long,
        ] {
            assert!(bad.parse::<Workload>().is_err(), "{bad:?}");
        }
        let error = "container/pg".parse::<Workload>().unwrap_err();
        assert!(error.to_string().contains("write container/pg:PORT"), "{error}");
    }
}
