//! Targets that something else starts, stops and moves about.

use std::net::SocketAddr;

use van_model::Workload;

/// Who knows where containers and pods are.
pub trait Workloads: Send + Sync {
    /// Where this host reaches a workload now, the best place first; at least one.
    ///
    /// Answers at once, by what is known. The error is a sentence: why it can't be reached, and what
    /// to do.
    fn locate(&self, workload: &Workload) -> Result<Vec<SocketAddr>, String>;
}
