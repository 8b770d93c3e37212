//! An MQTT broker.

use std::fs;

use van_testkit::{DEADLINE, program};

use crate::far::Far;

const PORT: u16 = 1883;

/// Messages that are published.
const COUNT: usize = 1000;

#[test]
fn mqtt_messages_come_once_at_least_and_in_order() {
    let far = Far::start();
    let dir = far.folder("mqtt", "nobody");
    let configuration = dir.join("conf");
    let text = format!(
        "listener {PORT} 127.0.0.1\nallow_anonymous true\nuser nobody\nmax_queued_messages 0\nlog_dest stderr\nlog_type all\n"
    );
    fs::write(&configuration, text).unwrap();
    let mut server = program("mosquitto", "mosquitto");
    server.arg("-c").arg(&configuration);
    let mut server = far.serve(server, PORT);
    far.bring("mqtt", PORT);

    let at = format!("-h 127.0.0.1 -p {PORT} -q 1 -t news");
    let mut subscriber = program("mosquitto_sub", "mosquitto-clients");
    subscriber.args(format!("{at} -C {COUNT}").split(' '));
    let mut subscriber = far.near().start(subscriber, &dir.join("subscriber"));
    // The broker tells it at once, its client only when a buffer is full.
    server.wait_for("Sending SUBACK", DEADLINE);
    let said: Vec<_> = (0..COUNT).map(|n| format!("item {n}")).collect();
    let publisher = program("mosquitto_pub", "mosquitto-clients");
    far.client(publisher, &format!("{at} -l"), said.join("\n").as_bytes());
    assert!(subscriber.wait(DEADLINE).success());
    let output = subscriber.output();
    let heard: Vec<_> = output.lines().filter(|line| line.starts_with("item ")).collect();
    assert_eq!(heard, said);
}
