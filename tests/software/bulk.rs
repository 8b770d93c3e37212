//! Software that moves much: iperf3, ssh and FTP.

use std::fs;
use std::path::Path;

use serde_json::Value;
use van_testkit::program;

use crate::far::Far;
use crate::noise;

/// Bytes of the files here.
const FILE: usize = 20_000_000;

#[test]
fn iperf3_both_ways_on_four_streams() {
    let far = Far::start();
    let mut server = program("iperf3", "iperf3");
    server.args(["-s", "-p", "5201", "-B", "127.0.0.1"]);
    let _server = far.serve(server, 5201);
    far.bring_unchecked("iperf", 5201);
    for direction in ["", "-R"] {
        let iperf = program("iperf3", "iperf3");
        let line = format!("-c 127.0.0.1 -p 5201 -t 2 -P 4 -J {direction}");
        let report: Value = serde_json::from_str(&far.client(iperf, &line, b"")).unwrap();
        let end = &report["end"];
        let speed = end["sum_received"]["bits_per_second"].as_f64().unwrap();
        assert!(speed > 20e6, "{speed}");
        let streams = end["streams"].as_array().unwrap();
        assert_eq!(streams.len(), 4);
        assert!(streams.iter().all(|s| s["receiver"]["bytes"].as_u64().unwrap() > 0), "{end}");
    }
}

#[test]
fn ssh_copies_a_file_there_and_back() {
    const PORT: u16 = 2200;
    let far = Far::start();
    let dir = far.folder("ssh", "nobody");
    let path = |name: &str| dir.join(name).display().to_string();
    for key in ["host", "user"] {
        let mut keygen = program("ssh-keygen", "openssh-client");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f", &path(key)]);
        far.client(keygen, "", b"");
    }
    // Where the server's children are shut in; a machine that never ran one doesn't have it.
    fs::create_dir_all("/run/sshd").unwrap();
    let text = format!(
        "Port {PORT}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
         StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n\
         Subsystem sftp internal-sftp\n",
        path("host"),
        path("user.pub")
    );
    fs::write(dir.join("conf"), text).unwrap();
    let mut server = program("sshd", "openssh-server");
    server.args(["-D", "-e", "-f", &path("conf")]);
    let _server = far.serve(server, PORT);
    far.bring("ssh", PORT);
    let data = noise(FILE);
    let (here, there) = (dir.join("here"), dir.join("there"));
    let options = format!(
        "-q -i {} -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
        path("user")
    );
    let copy = |from: &str, to: &str| {
        let scp = program("scp", "openssh-client");
        far.client(scp, &format!("{options} -P {PORT} {from} {to}"), b"");
    };
    let remote = format!("root@127.0.0.1:{}", there.display());
    fs::write(&here, &data).unwrap();
    copy(&path("here"), &remote);
    fs::remove_file(&here).unwrap();
    copy(&remote, &path("here"));
    same(&here, &data);
    same(&there, &data);

    // A command with input and output of its own, as a shell has them.
    let ssh = program("ssh", "openssh-client");
    let line = format!("{options} -p {PORT} root@127.0.0.1 sha256sum");
    let far_sum = far.client(ssh, &line, &data);
    let sum = far.client(program("sha256sum", "coreutils"), "", &data);
    assert_eq!(far_sum, sum);
}

#[test]
fn ftp_moves_a_file_by_its_passive_port() {
    const CONTROL: u16 = 2121;
    const PASSIVE: u16 = 2122;
    let far = Far::start();
    // Neither may be writable for who uses it: `ftp` the files, `nobody` the empty folder.
    let (root, secure) = (far.folder("files", "nobody"), far.folder("empty", "ftp"));
    let data = noise(FILE);
    fs::write(root.join("noise"), &data).unwrap();
    let configuration = root.with_extension("conf");
    let text = format!(
        "listen=YES\nlisten_address=127.0.0.1\nlisten_port={CONTROL}\nbackground=NO\n\
         anonymous_enable=YES\nlocal_enable=NO\nanon_root={}\nsecure_chroot_dir={}\n\
         pasv_min_port={PASSIVE}\npasv_max_port={PASSIVE}\nseccomp_sandbox=NO\n\
         xferlog_enable=NO\n",
        root.display(),
        secure.display()
    );
    fs::write(&configuration, text).unwrap();
    let mut server = program("vsftpd", "vsftpd");
    server.arg(&configuration);
    let _server = far.serve(server, CONTROL);
    far.bring("ftp", CONTROL);
    far.bring_unchecked(&format!("ftp:{PASSIVE}"), PASSIVE);
    let here = far.folder("here", "nobody").join("noise");
    for _ in 0..2 {
        let line = format!("-sS -o {} ftp://127.0.0.1:{CONTROL}/noise", here.display());
        far.client(program("curl", "curl"), &line, b"");
        same(&here, &data);
    }
}

#[track_caller]
fn same(file: &Path, data: &[u8]) {
    let came = fs::read(file).unwrap();
    assert!(came == data, "{} of {} bytes came, or others", came.len(), data.len());
    fs::remove_file(file).unwrap();
}
