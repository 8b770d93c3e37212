//! Redis with its benchmark, and a subscriber.

use van_testkit::{DEADLINE, program, wait_until};

use crate::far::Far;

const PORT: u16 = 6379;

/// Messages that are published.
const COUNT: usize = 1000;

#[test]
fn redis_runs_its_benchmark_and_publishes_in_order() {
    let far = Far::start();
    let dir = far.folder("redis", "nobody");
    let mut server = program("redis-server", "redis-server");
    server.args(["--port", &PORT.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
    server.arg(&dir);
    let _server = far.serve(server, PORT);
    far.bring("redis", PORT);
    let at = format!("-h 127.0.0.1 -p {PORT}");

    for line in ["-t set,get,lpush,lrange_100 -n 2000 -c 20", "-t set,get -n 20000 -c 20 -P 16"] {
        let benchmark = program("redis-benchmark", "redis-tools");
        let report = far.client(benchmark, &format!("{at} --csv {line}"), b"");
        assert!(report.contains("\"GET\"") && !report.contains("rror"), "{report}");
    }

    let mut subscriber = program("redis-cli", "redis-tools");
    subscriber.args(format!("{at} --csv subscribe news").split(' '));
    let log = dir.join("subscriber");
    let mut subscriber = far.near().start(subscriber, &log);
    subscriber.wait_for("\"subscribe\",\"news\",1", DEADLINE);
    let news: String = (0..COUNT).map(|n| format!("PUBLISH news item-{n}\n")).collect();
    let told = far.client(program("redis-cli", "redis-tools"), &at, news.as_bytes());
    assert_eq!(told.lines().filter(|line| *line == "1").count(), COUNT, "{told}");
    wait_until(DEADLINE, "the last message came", || {
        subscriber.output().contains(&format!("item-{}\"", COUNT - 1))
    });
    let output = subscriber.output();
    let heard: Vec<_> = output.lines().filter(|line| line.contains("item-")).collect();
    let said: Vec<_> = (0..COUNT).map(|n| format!("\"message\",\"news\",\"item-{n}\"")).collect();
    assert_eq!(heard, said);
}
