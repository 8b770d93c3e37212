//! nginx and Apache httpd by request, asked by curl, ab and h2load.

use std::fs;
use std::path::Path;
use std::process::Command;

use van_testkit::program;

use crate::far::Far;
use crate::noise;

const PORT: u16 = 8080;

/// Bytes of the large file.
const LARGE: usize = 8 << 20;

#[test]
fn nginx_serves_what_curl_and_load_generators_ask() {
    for far in Far::both() {
        let dir = far.folder("web", "www-data");
        fill(&dir);
        let folder = dir.display();
        let text = format!(
            "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/log;\nuser root;\n\
             events {{ }}\nhttp {{ access_log off; keepalive_timeout 3s;\n\
             server {{ listen 127.0.0.1:{PORT}; root {folder}; }} }}\n"
        );
        fs::write(dir.join("nginx.conf"), text).unwrap();
        let mut server = program("nginx", "nginx-light");
        server.args(["-e", "stderr", "-c"]).arg(dir.join("nginx.conf"));
        serve(&far, server, &dir);
    }
}

#[test]
fn httpd_serves_what_curl_and_load_generators_ask() {
    for far in Far::both() {
        let dir = far.folder("web", "www-data");
        fill(&dir);
        let folder = dir.display();
        let modules = "/usr/lib/apache2/modules";
        let text = format!(
            "ServerRoot {folder}\nServerName web\nListen 127.0.0.1:{PORT}\nPidFile {folder}/pid\n\
             ErrorLog {folder}/log\nUser www-data\nDocumentRoot {folder}\nMutex pthread\n\
             LoadModule mpm_event_module {modules}/mod_mpm_event.so\n\
             LoadModule authz_core_module {modules}/mod_authz_core.so\n"
        );
        fs::write(dir.join("httpd.conf"), text).unwrap();
        let mut server = program("apache2", "apache2-bin");
        server.args(["-D", "FOREGROUND", "-f"]).arg(dir.join("httpd.conf"));
        serve(&far, server, &dir);
    }
}

fn fill(dir: &Path) {
    fs::write(dir.join("small"), noise(1024)).unwrap();
    fs::write(dir.join("large"), noise(LARGE)).unwrap();
}

fn serve(far: &Far, server: Command, dir: &Path) {
    let _server = far.serve(server, PORT);
    far.bring_as("http", "web", PORT);
    let url = format!("http://127.0.0.1:{PORT}");
    let curl = |line: &str| far.client(program("curl", "curl"), &format!("-sS {line}"), b"");
    let code = |line: &str| curl(&format!("-o /dev/null -w %{{http_code}} {line}"));
    let same = |line: &str, want: &[u8]| {
        let file = dir.join("got");
        curl(&format!("-f -o {} {line}", file.display()));
        assert!(fs::read(&file).unwrap() == want, "{line}");
    };
    let (small, large) = (noise(1024), noise(LARGE));
    for version in ["--http1.1", "--http1.0", "--http2-prior-knowledge"] {
        same(&format!("{version} {url}/small"), &small);
        same(&format!("{version} {url}/large"), &large);
        same(&format!("{version} -r 1000-99999 {url}/large"), &large[1000..100_000]);
    }
    let head = curl(&format!("-I {url}/large"));
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.unwrap_or_else(|| panic!("no {name}: {head}")).1.trim().to_owned()
    };
    assert_eq!(field("content-length"), LARGE.to_string());
    // What begins with W/ is a weak one, which has no other spelling.
    let tag = field("etag");
    assert_eq!(code(&format!("-H If-None-Match:{tag} {url}/large")), "304");
    assert_eq!(code(&format!("{url}/nothing")), "404");
    let many = format!("-Z --parallel-max 20 {url}/small?[1-200]");
    assert_eq!(code(&many).matches("200").count(), 200);

    let ab = format!("-k -q -n 2000 -c 16 {url}/small");
    let report = far.client(program("ab", "apache2-utils"), &ab, b"");
    assert!(report.contains("Failed requests:        0"), "{report}");
    assert!(!report.contains("Non-2xx"), "{report}");
    for version in ["--h1 -c 16", "-c 4 -m 16"] {
        let line = format!("{version} -n 2000 {url}/small");
        let report = far.client(program("h2load", "nghttp2-client"), &line, b"");
        assert!(report.contains("status codes: 2000 2xx"), "{line}: {report}");
    }
}
