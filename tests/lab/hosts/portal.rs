//! A patient portal: its database on one host, what computes on another, the front on a third.

use van_lab::Lab;

use crate::wait_for;

/// A payment processor, as small as may be: it answers any POST.
const PROCESSOR: &str = r#"
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        amount = self.rfile.read(int(self.headers["Content-Length"]))
        body = b"paid " + amount
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", 8081), Handler).serve_forever()
"#;

#[test]
fn a_portal_has_its_parts_on_three_hosts() {
    let lab = Lab::new();
    let front = lab.public("front", 10);
    let (database, _first) = lab.private("database", 1);
    let (processor, _second) = lab.private("processor", 2);
    front.install_accepting();
    for host in [&database, &processor] {
        let _said = host.install();
        host.link_to(&front);
    }

    let _started = database.sh("systemctl start postgresql").ok();
    let sql = "create role portal login password 'secret'; create database portal owner portal";
    wait_for(&database, "runuser -u postgres -- psql -c 'select 1'");
    for statement in sql.split("; ") {
        let _made = database.sh(&format!("runuser -u postgres -- psql -c \"{statement}\"")).ok();
    }
    let _exposed = database.vanctl("expose 127.0.0.1:5432 --address database").ok();

    processor.write("/opt/processor.py", PROCESSOR);
    let _serves = processor.start("exec python3 /opt/processor.py");
    let _exposed = processor.vanctl("expose 127.0.0.1:8081 --address payments --wait 30s").ok();

    let place = front.wait_import("database");
    let (ip, port) = place.split_once(':').unwrap();
    let login =
        format!("PGPASSWORD=secret PGHOST={ip} PGPORT={port} PGUSER=portal PGDATABASE=portal");
    wait_for(&front, &format!("{login} psql -c 'select 1'"));
    let pgbench = "/usr/lib/postgresql/*/bin/pgbench";
    let _filled = front.sh(&format!("{login} {pgbench} --initialize --quiet 2>&1")).ok();
    let load = format!("{login} {pgbench} --client=4 --jobs=2 --time=3 --no-vacuum 2>&1");
    let report = front.sh(&load).ok();
    assert!(report.contains("number of failed transactions: 0 (0.000%)"), "{report}");
    let rate = report.lines().find(|line| line.starts_with("tps")).unwrap_or_default();
    crate::tell(&format!("pgbench over a link: {rate}"));

    let payments = front.wait_import("payments");
    let site = format!(
        "server {{ listen 80; location /pay {{ proxy_pass http://{payments}; proxy_http_version 1.1; }} }}"
    );
    front.write("/etc/nginx/conf.d/portal.conf", &site);
    let _started = front.sh("rm -f /etc/nginx/sites-enabled/default; systemctl restart nginx").ok();
    let paid = wait_for(&front, "curl -sf --data 42 http://127.0.0.1/pay");
    assert_eq!(paid, "paid 42");
}
