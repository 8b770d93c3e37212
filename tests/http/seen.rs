//! What can be seen of requests: `vanctl tap`, `vanctl flows`, and what targets are told for traces.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;

use serde_json::Value;
use van_testkit::{DEADLINE, Echo, Sites, Vand, echo_lines, wait_until};

use crate::Pair;
use crate::target::Target;

/// A tap that runs, line by line.
struct Tap {
    lines: mpsc::Receiver<String>,
    child: std::process::Child,
}

impl Tap {
    fn start(at: &Vand, options: &str) -> Self {
        let mut command = at.vanctl().command(&format!("tap web -o json {options}"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (told, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines() {
                if told.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        Self { lines, child }
    }

    /// The next request for a path.
    #[track_caller]
    fn next(&self, path: &str) -> Value {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).expect("a line");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["path"] == path {
                return line;
            }
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn field<'a>(line: &'a Value, message: &str, name: &str) -> Option<&'a str> {
    let fields = line[message].as_array().unwrap();
    fields.iter().find(|field| field[0] == name).and_then(|field| field[1].as_str())
}

#[test]
fn a_tap_tells_requests_and_no_secrets() {
    let target = Target::start(|asked, stream| {
        let status = if asked.line().contains("/missing") { "404 Not Found" } else { "200 OK" };
        let text = format!(
            "HTTP/1.1 {status}\r\nSet-Cookie: s=hidden1\r\nX-Kind: plain\r\nContent-Length: 5\r\n\r\nhello"
        );
        stream.write_all(text.as_bytes()).is_ok()
    });
    let pair = Pair::start(target.port);
    let (masked, with_values) =
        (Tap::start(&pair.sites.public, ""), Tap::start(&pair.sites.public, "--query"));
    let mut client = pair.client();
    // Until both listen.
    wait_until(DEADLINE, "both taps told", || {
        client.get("/begin");
        let heard = |tap: &Tap| tap.lines.try_recv().is_ok();
        heard(&masked) & heard(&with_values)
    });
    client.ask(
        "POST /orders?id=7&token=hidden2 HTTP/1.1\r\nHost: web\r\nAuthorization: Bearer hidden3\r\n\
         Cookie: c=hidden4\r\nX-Api-Key: hidden5\r\nX-Plain: seen\r\nContent-Length: 3\r\n\r\nabc",
    );
    client.get("/missing");
    let line = masked.next("/orders");
    assert_eq!((&line["kind"], &line["method"]), (&"request".into(), &"POST".into()), "{line}");
    assert_eq!((&line["status"], &line["address"]), (&200.into(), &"web".into()), "{line}");
    assert_eq!((&line["peer_name"], &line["target"]), (&"other".into(), &"t".into()), "{line}");
    assert_eq!((&line["bytes_sent"], &line["bytes_received"]), (&3.into(), &5.into()), "{line}");
    assert!(line["latency_ms"].as_f64().unwrap() > 0.0, "{line}");
    assert!(line["duration_ms"].as_f64() >= line["latency_ms"].as_f64(), "{line}");
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert_eq!(line["query"], "id=***&token=***");
    assert_eq!(field(&line, "request_headers", "x-plain"), Some("seen"));
    assert_eq!(field(&line, "request_headers", "authorization"), Some("***"));
    assert_eq!(field(&line, "response_headers", "x-kind"), Some("plain"));
    assert!(!line.to_string().contains("hidden"), "{line}");
    let line = with_values.next("/orders");
    assert_eq!(line["query"], "id=7&token=***");
    assert!(!line.to_string().contains("hidden"), "{line}");
    assert_eq!(masked.next("/missing")["status"], 404);
    pair.other.ctl("connector delete t").ok();
    wait_until(DEADLINE, "the service was gone", || client.get("/none").status == 503);
    let line = loop {
        let line = masked.next("/none");
        if line["status"] == 503 {
            break line;
        }
    };
    assert_eq!(line["target"], Value::Null, "{line}");
    pair.sites.public.ctl("tap nothing").fails(4);
}

#[test]
fn a_tap_ends_after_a_count_or_a_time_and_flows_tell_the_last_request() {
    let target = Target::saying("x");
    let pair = Pair::start(target.port);
    let mut command = pair.sites.public.vanctl().command("tap web --count 3");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut client = pair.client();
    wait_until(DEADLINE, "the tap ended", || {
        client.get("/counted?secret=1");
        child.try_wait().unwrap().is_some()
    });
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.lines().count() == 3, "{text}");
    assert!(text.contains("GET") && text.contains("/counted?secret=***"), "{text}");
    assert!(text.contains("other/t"), "{text}");
    assert_eq!(pair.sites.public.ctl("tap web --duration 50ms").ok(), "");
    client.ask("DELETE /last?x=y HTTP/1.1\r\nHost: web\r\n\r\n");
    let flows = pair.sites.public.ctl("flows -o json").ok();
    let flows: Value = serde_json::from_str(&flows).unwrap();
    let all = flows["items"].as_array().unwrap();
    let flow = all.iter().find(|flow| flow["requests"].is_object()).expect("a client's flow");
    assert_eq!(flow["requests"]["method"], "DELETE", "{flow}");
    assert_eq!(flow["requests"]["path"], "/last", "{flow}");
    assert_eq!(
        (&flow["requests"]["status"], &flow["target"]),
        (&200.into(), &"t".into()),
        "{flow}"
    );
    assert!(pair.sites.public.ctl("flows").ok().contains("DELETE /last 200"));
}

#[test]
fn the_context_of_a_trace_is_passed_on_as_it_is() {
    let pair = Pair::start(Target::echo().port);
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let said = pair.client().ask(format!(
        "GET / HTTP/1.1\r\nHost: web\r\ntraceparent: {parent}\r\ntracestate: a=1,b=2\r\n\r\n"
    ));
    assert!(said.body.contains(&format!("traceparent: {parent}\r\n")), "{}", said.body);
    assert!(said.body.contains("tracestate: a=1,b=2\r\n"), "{}", said.body);
}

#[test]
fn flows_of_other_services_are_told_as_they_open_and_end() {
    let (sites, echo) = (Sites::start(""), Echo::start());
    let (other, port) = sites.service(echo.port());
    let name = sites.public.get("/v1/listeners").unwrap().1["items"][0]["spec"]["address"].clone();
    let name = name.as_str().unwrap();
    let mut command = sites.public.vanctl().command(&format!("tap {name} --count 6 -o json"));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    wait_until(DEADLINE, "the tap ended", || {
        echo_lines(port, 1).unwrap();
        child.try_wait().unwrap().is_some()
    });
    let output = child.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(lines.iter().all(|line| line["kind"] == "flow" && line["peer_name"] == "laptop"));
    let open = lines.iter().find(|line| line["end"].is_null()).expect("one that opens");
    let ended = lines.iter().find(|line| line["id"] == open["id"] && line["end"] == "closed");
    let ended = ended.expect("the same as it ended");
    assert!(ended["bytes_sent"].as_u64() > Some(0) && ended["connect_ms"].is_number(), "{ended}");
    drop(other);
}

#[test]
fn services_and_metrics_tell_methods_classes_times_and_bytes() {
    let pair = Pair::start(Target::saying("hello").port);
    let mut client = pair.client();
    for _ in 0..10 {
        assert_eq!(client.get("/").status, 200);
    }
    client.ask(
        "PUT / HTTP/1.1\r\nHost: web\r\nContent-Length: 1000\r\n\r\n".to_owned()
            + &"x".repeat(1000),
    );
    let status = pair.sites.public.get("/v1/services/web").unwrap().1["status"].clone();
    assert_eq!(status["requests"]["answered"]["GET"]["2xx"], 10, "{status}");
    assert!(status["requests"]["latency_ms"]["p99"].as_f64().unwrap() > 0.0, "{status}");
    wait_until(DEADLINE, "the bytes were counted", || {
        let status = pair.sites.public.get("/v1/services/web").unwrap().1["status"].clone();
        let bytes = |name: &str| status[name].as_u64().unwrap();
        bytes("bytes_sent") > 1000 && bytes("bytes_received") > 11 * 5
    });
    let metrics = scrape(&pair.sites.public);
    for line in [
        "van_service_requests_total{address=\"web\",method=\"GET\",status=\"2xx\"} 10",
        "van_service_requests_total{address=\"web\",method=\"PUT\",status=\"2xx\"} 1",
        "van_service_latency_seconds{address=\"web\",quantile=\"0.99\"}",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

/// The metrics as the API's socket tells them.
pub(crate) fn scrape(at: &Vand) -> String {
    let mut stream = std::os::unix::net::UnixStream::connect(at.socket()).unwrap();
    stream.write_all(b"GET /v1/metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    text
}
