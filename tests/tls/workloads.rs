//! Connectors that start TLS towards their workloads.

use std::fs;

use van_testkit::{DEADLINE, Process, free_port, program, wait_until};

use crate::{Authority, Lab, text};

/// nginx with TLS, which wants a client's certificate where an authority is given.
pub(crate) struct Server {
    _process: Process,
    pub(crate) port: u16,
    _dir: tempfile::TempDir,
}

pub(crate) fn serve(
    pair: &(std::path::PathBuf, std::path::PathBuf),
    client_ca: Option<&str>,
) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let (folder, port) = (dir.path().display(), free_port());
    let verify = client_ca.map(|ca| format!("ssl_client_certificate {ca}; ssl_verify_client on;"));
    let text = format!(
        "daemon off;\nmaster_process off;\npid {folder}/pid;\nerror_log {folder}/log;\nuser root;\n\
         events {{ }}\nhttp {{ access_log off; server {{ listen 127.0.0.1:{port} ssl http2;\n\
         ssl_certificate {}; ssl_certificate_key {}; {}\n\
         location / {{ return 200 \"hello by $server_protocol to $ssl_client_s_dn\\n\"; }} }} }}\n",
        text(&pair.0),
        text(&pair.1),
        verify.unwrap_or_default(),
    );
    let file = dir.path().join("nginx.conf");
    fs::write(&file, text).unwrap();
    let mut nginx = program("nginx", "nginx-light");
    nginx.args(["-e", "stderr", "-c"]).arg(&file);
    let process = Process::start(nginx, &dir.path().join("out"));
    Server { _process: process, port, _dir: dir }
}

fn ask(port: u16, how: &str) -> String {
    let mut curl = program("curl", "curl");
    curl.args(["-sS", "--max-time", "20"]).args(how.split_whitespace());
    let output = curl.arg(format!("http://127.0.0.1:{port}/")).output().unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

/// Why a connector's target is not well.
fn reason(lab: &Lab) -> String {
    let (_, connector) = lab.other.get("/v1/connectors/web").unwrap();
    connector["status"]["reason"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn workloads_are_verified_and_reached() {
    let lab = Lab::start();
    let ca = text(&lab.authority.file());
    let server = serve(&lab.authority.issue("server", &["db.example.org"]), None);
    let tls = format!("--tls-server-name db.example.org --tls-ca {ca}");
    for (protocol, check, said) in
        [("tcp", "tcp", "HTTP/1.1"), ("http", "http:/", "HTTP/1.1"), ("http2", "tcp", "HTTP/2.0")]
    {
        lab.offer(server.port, &format!("--protocol {protocol} --check {check} {tls}"));
        let port = lab.listen(&format!("--protocol {protocol}"));
        let answer = ask(port, "");
        assert_eq!(answer, format!("hello by {said} to \n"), "{protocol}");
        lab.sites.public.ctl("listener delete web").ok();
        lab.other.ctl("connector delete web").ok();
    }
    lab.other
        .ctl(&format!("expose 127.0.0.1:{} --address web --protocol http {tls}", server.port))
        .ok();
    let port = lab.listen("--protocol http");
    assert_eq!(ask(port, ""), "hello by HTTP/1.1 to \n", "exposed");
}

#[test]
fn a_workload_gets_our_certificate() {
    let lab = Lab::start();
    let ca = text(&lab.authority.file());
    let server = serve(&lab.authority.issue("server", &["127.0.0.1"]), Some(&ca));
    let (certificate, key) = lab.authority.issue("vand", &["vand"]);
    let pair = format!("--tls-certificate {} --tls-key {}", text(&certificate), text(&key));
    lab.offer(server.port, &format!("--protocol http --tls-ca {ca} {pair}"));
    let port = lab.listen("--protocol http");
    assert_eq!(ask(port, ""), "hello by HTTP/1.1 to CN=vand\n");
}

#[test]
fn certificates_that_are_not_good_are_told() {
    let lab = Lab::start();
    let ca = text(&lab.authority.file());
    let others = Authority::new("others");
    for (pair, why) in [
        (lab.authority.issue("wrong", &["another.example.org"]), "not valid for name"),
        (lab.authority.issue_until("old", &["db.example.org"], 2002), "expired"),
        (others.issue("server", &["db.example.org"]), "UnknownIssuer"),
    ] {
        let server = serve(&pair, None);
        let options = format!("--wait 0 --tls-server-name db.example.org --tls-ca {ca}");
        lab.offer(server.port, &options);
        wait_until(DEADLINE, "the reason was told", || reason(&lab).contains(why));
        lab.other.ctl("connector delete web").ok();
    }
    // Without a file it is the host's authorities that count.
    let server = serve(&lab.authority.issue("server", &["127.0.0.1"]), None);
    lab.offer(server.port, "--wait 0 --tls");
    wait_until(DEADLINE, "the reason was told", || !reason(&lab).is_empty());
    assert!(reason(&lab).contains("TLS"), "{}", reason(&lab));
}

#[test]
fn new_authorities_are_used_of_a_target_that_nobody_checks() {
    let lab = Lab::start();
    let others = Authority::new("others");
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    fs::copy(lab.authority.file(), &ca).unwrap();
    let server = serve(&lab.authority.issue("server", &["127.0.0.1"]), None);
    lab.offer(server.port, &format!("--check none --tls-ca {}", text(&ca)));
    let port = lab.listen("");
    let is_served = || ask(port, "").starts_with("hello");
    assert!(is_served());
    fs::copy(others.file(), &ca).unwrap();
    wait_until(DEADLINE, "an authority that is gone counted no more", || !is_served());
    fs::copy(lab.authority.file(), &ca).unwrap();
    wait_until(DEADLINE, "the first authority counted again", is_served);
}
