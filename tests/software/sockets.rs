//! WebSocket by Python's package websockets, through a service that knows of requests.

use std::process::Command;

use crate::far::Far;
use crate::stacks::{prepared, script};

const PORT: u16 = 8095;

#[test]
fn websockets_talk_and_part_in_order() {
    let python = || {
        let mut command = Command::new(prepared("python/bin/python"));
        command.arg(script("sockets.py"));
        command
    };
    for far in Far::both() {
        let mut server = python();
        server.args(["serve", &PORT.to_string()]);
        let _server = far.serve(server, PORT);
        far.bring_as("http", "sockets", PORT);
        assert_eq!(far.client(python(), &format!("ask {PORT}"), b"").trim(), "ok");
    }
}
