//! Measures vand and its peers side by side, on the same work.
//!
//! A [`session::Session`] goes through rounds; in each, every [`workload::Workload`] is done
//! through every [`peer::Peer`] by turns, one measurement at a time. For each measurement the peer
//! starts afresh as a pair of processes ([`running::Running`]) and ends with it, whatever happens.
//! The figures become [`statistics::Statistics`], those a [`report`], and vand's are held against
//! its [`goals`].
//!
//! - client → ingress process → link → egress process → back-end, all on loopback; the WAN
//!   workload puts a [`van_testkit::Wire`] with delay and loss between both processes.
//! - Invariant: nothing outlives the run. Each process has a group of its own, which is killed
//!   when its [`process::Process`] is dropped; every wait looks at [`stop`].

pub mod backend;
pub mod certificate;
pub mod cli;
pub mod goals;
pub mod h2load;
pub mod host;
pub mod iperf;
pub mod layout;
pub mod load;
pub mod metric;
pub mod names;
pub mod peer;
pub mod process;
pub mod program;
pub mod record;
pub mod report;
pub mod running;
pub mod session;
pub mod statistics;
pub mod stop;
pub mod table;
pub mod usage;
pub mod wan;
pub mod workload;
pub mod wrk;
