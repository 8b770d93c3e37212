//! nghttp2's own server and clients, by HTTP/2 from end to end.

use std::fs;

use van_testkit::program;

use crate::far::Far;
use crate::noise;

const PORT: u16 = 8082;

#[test]
fn nghttpd_serves_its_own_clients() {
    for far in Far::both() {
        let dir = far.folder("multiplexed", "nobody");
        fs::write(dir.join("small"), noise(1024)).unwrap();
        fs::write(dir.join("large"), noise(4 << 20)).unwrap();
        fs::write(dir.join("upload"), noise(1 << 20)).unwrap();
        let mut server = program("nghttpd", "nghttp2-server");
        server.args(["--no-tls", "--echo-upload", "--trailer", "x-sum: of it all"]);
        server.args(["-a", "127.0.0.1", "-d"]).arg(&dir).arg(PORT.to_string());
        let _server = far.serve(server, PORT);
        far.bring_as("http2", "multiplexed", PORT);
        let url = format!("http://127.0.0.1:{PORT}");

        for (streams, count) in [("-c 4 -m 16", 4000), ("-c 1 -m 100", 2000), ("-c 32 -m 1", 2000)]
        {
            let line = format!("{streams} -n {count} {url}/small");
            let report = far.client(program("h2load", "nghttp2-client"), &line, b"");
            assert!(report.contains(&format!("status codes: {count} 2xx")), "{line}: {report}");
            assert!(report.contains("0 failed, 0 errored, 0 timeout"), "{line}: {report}");
        }
        let nghttp = |line: &str| far.client(program("nghttp", "nghttp2-client"), line, b"");
        let told = nghttp(&format!("-nv {url}/small {url}/large"));
        assert_eq!(told.matches(":status: 200").count(), 2, "{told}");
        assert_eq!(told.matches("x-sum: of it all").count(), 2, "{told}");
        let upload = dir.join("upload");
        let told = nghttp(&format!("-nv -d {} {url}/echo", upload.display()));
        assert!(told.contains(":status: 200") && told.contains("x-sum: of it all"), "{told}");
        let got = dir.join("got");
        let curl = format!(
            "-sS -f --http2-prior-knowledge -o {} --data-binary @{} {url}/echo",
            got.display(),
            upload.display()
        );
        far.client(program("curl", "curl"), &curl, b"");
        assert!(fs::read(&got).unwrap() == noise(1 << 20));
    }
}
