//! PostgreSQL with its benchmark, and a bulk copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use van_testkit::{Process, program, run};

use crate::far::{Far, as_user};

const PORT: u16 = 5432;

/// How often the client's line is copied: 50 MB.
const LINES: usize = 500_000;

/// The folder of the newest server's programs, which Debian keeps off the search path.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let dirs = versions.filter_map(|version| Some(version.ok()?.path().join("bin")));
    let newest = dirs.filter(|dir| dir.join("postgres").is_file()).max();
    newest
        .expect("PostgreSQL is not installed: run `apt-get install postgresql` (`make test` does)")
}

/// A server that ends in order, since it shares memory that a crash leaves behind.
struct Postgres(Process);

impl Postgres {
    fn start(far: &Far) -> Self {
        let data = far.folder("data", "postgres");
        let mut init = Command::new(programs().join("initdb"));
        init.args(["--auth=trust", "--no-sync", "--no-locale", "--encoding=UTF8", "-D"]).arg(&data);
        let made = run(as_user("postgres", &init), b"", Duration::from_secs(60));
        assert!(made.status.success(), "{made:?}");
        Self(far.serve(as_user("postgres", &server(&data)), PORT))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.0.status().is_none() {
            self.0.signal(Signal::SIGINT);
            self.0.wait(Duration::from_secs(30));
        }
    }
}

fn server(data: &Path) -> Command {
    let mut server = Command::new(programs().join("postgres"));
    server.arg("-D").arg(data);
    let port = format!("port={PORT}");
    let settings = [&port, "listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"];
    for setting in settings {
        server.args(["-c", setting]);
    }
    server
}

#[test]
fn postgres_runs_its_benchmark_and_copies_fifty_megabytes() {
    let far = Far::start();
    let _server = Postgres::start(&far);
    far.bring("postgres", PORT);
    let at = format!("-h 127.0.0.1 -p {PORT} -U postgres");
    let pgbench = || Command::new(programs().join("pgbench"));
    far.client(pgbench(), &format!("{at} -i -s 1 -q postgres"), b"");
    for mode in ["simple", "prepared"] {
        let line = format!("{at} -c 4 -j 2 -t 50 -M {mode} postgres");
        let report = far.client(pgbench(), &line, b"");
        assert!(report.contains("actually processed: 200/200"), "{report}");
        assert!(!report.contains("failed transactions: 1"), "{report}");
    }

    let psql = |statement: &str, input: &[u8]| {
        let mut psql = Command::new(programs().join("psql"));
        psql.args(["-v", "ON_ERROR_STOP=1", "-qAt", "-c", statement]);
        far.client(psql, &format!("{at} postgres"), input)
    };
    let rows: String = (0..LINES).map(|n| format!("{n}\t{:092}\n", n * 7919)).collect();
    assert!(rows.len() > 49_000_000);
    psql("CREATE TABLE rows (n int, text text)", b"");
    psql("COPY rows FROM STDIN", rows.as_bytes());
    let [there, here] = [
        psql("SELECT md5(string_agg(n || E'\\t' || text || E'\\n', '' ORDER BY n)) FROM rows", b""),
        far.client(program("md5sum", "coreutils"), "", rows.as_bytes()),
    ];
    assert_eq!(there.trim(), here.split(' ').next().unwrap());
    let back = psql("COPY (SELECT * FROM rows ORDER BY n) TO STDOUT", b"");
    assert!(back == rows, "{} bytes came back of {}", back.len(), rows.len());
}
