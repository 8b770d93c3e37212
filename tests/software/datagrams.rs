//! Software that speaks in datagrams: names, logs, and iperf3's own count of what is lost.

use std::net::UdpSocket;

use serde_json::Value;
use van_testkit::{DEADLINE, program, wait_until};

use crate::far::Far;

#[test]
fn dig_asks_dnsmasq_by_datagrams_and_by_streams() {
    const PORT: u16 = 5353;
    let far = Far::start();
    let mut server = program("dnsmasq", "dnsmasq-base");
    server.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
    server.args(["--user=root", "--pid-file=", "--listen-address=127.0.0.1", "--bind-interfaces"]);
    server.arg(format!("--port={PORT}"));
    server.args((0..200).map(|n| format!("--address=/host-{n}.test/192.0.2.{n}")));
    // An answer that needs several fragments of IP, and one frame here.
    let long = format!("--txt-record=long.test,{}", vec!["x".repeat(250); 12].join(","));
    server.args([&long, "--edns-packet-max=4096"]);
    let _server = far.serve(server, PORT);
    far.bring("names", PORT);
    far.bring_datagrams("names-udp", PORT);
    let dig = |line: &str| {
        let dig = program("dig", "bind9-dnsutils");
        far.client(dig, &format!("@127.0.0.1 -p {PORT} +short +tries=3 {line}"), b"")
    };
    wait_until(DEADLINE, "a name was answered", || dig("host-1.test").trim() == "192.0.2.1");
    for n in 0..200 {
        assert_eq!(dig(&format!("+notcp host-{n}.test")).trim(), format!("192.0.2.{n}"));
    }
    assert_eq!(dig("+tcp host-7.test").trim(), "192.0.2.7");
    let text = dig("+notcp +ignore +bufsize=4096 long.test TXT");
    assert_eq!(text.matches('x').count(), 3000, "{text}");
}

#[test]
fn logger_sends_lines_to_a_collector() {
    const PORT: u16 = 514;
    let far = Far::start();
    // A socket stays in the namespace in which it was made.
    let collector = far.far().within(|| UdpSocket::bind(("127.0.0.1", PORT)).unwrap());
    collector.set_read_timeout(Some(DEADLINE)).unwrap();
    far.bring_datagrams("syslog", PORT);
    for n in 0..50 {
        let logger = program("logger", "bsdutils");
        far.client(logger, &format!("-d -n 127.0.0.1 -P {PORT} -t van line-{n}"), b"");
        let mut room = [0; 2048];
        let count = collector.recv(&mut room).unwrap();
        let line = String::from_utf8_lossy(&room[..count]);
        assert!(line.ends_with(&format!("line-{n}")), "{line}");
    }
}

#[test]
fn iperf3_counts_what_is_lost() {
    const PORT: u16 = 5201;
    let far = Far::start();
    let mut server = program("iperf3", "iperf3");
    server.args(["-s", "-p", "5201", "-B", "127.0.0.1"]);
    let _server = far.serve(server, PORT);
    // It agrees on what to do over a stream at the same port.
    far.bring_unchecked("iperf", PORT);
    far.bring_datagrams("iperf-udp", PORT);
    for direction in ["", "-R"] {
        let iperf = program("iperf3", "iperf3");
        let line = format!("-u -c 127.0.0.1 -p 5201 -t 2 -b 8M -l 512 -J {direction}");
        let report: Value = serde_json::from_str(&far.client(iperf, &line, b"")).unwrap();
        let sum = &report["end"]["sum"];
        let (packets, lost) = (sum["packets"].as_f64().unwrap(), sum["lost_packets"].as_f64());
        assert!(packets > 3000.0, "{sum}");
        // A machine with other work may stop everything for a while.
        assert!(lost.unwrap() <= packets * 0.05, "{sum}");
    }
}
