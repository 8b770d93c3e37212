//! gRPC by its own implementations: the interoperability programs of grpc-go, and Python's grpcio.

use std::process::Command;

use crate::far::Far;
use crate::stacks::{prepared, script};

/// What grpc-go's client can be told to do without TLS and accounts.
const CASES: [&str; 14] = [
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "timeout_on_sleeping_server",
    "cancel_after_begin",
    "cancel_after_first_response",
    "status_code_and_message",
    "special_status_message",
    "custom_metadata",
    "unimplemented_method",
    "unimplemented_service",
];

#[test]
fn grpc_go_agrees_with_itself() {
    const PORT: u16 = 10_000;
    for far in Far::both() {
        let mut server = Command::new(prepared("bin/server"));
        server.arg(format!("--port={PORT}"));
        let _server = far.serve(server, PORT);
        far.bring_as("http2", "interop", PORT);
        for case in CASES {
            let line = format!("--server_host=127.0.0.1 --server_port={PORT} --test_case={case}");
            // It ends with an error where anything differs.
            far.client(Command::new(prepared("bin/client")), &line, b"");
        }
    }
}

#[test]
fn grpcio_makes_calls_of_all_kinds() {
    const PORT: u16 = 10_001;
    let python = || {
        let mut command = Command::new(prepared("python/bin/python"));
        command.arg(script("calls.py"));
        command
    };
    for far in Far::both() {
        let mut server = python();
        server.args(["serve", &PORT.to_string()]);
        let _server = far.serve(server, PORT);
        far.bring_as("http2", "calls", PORT);
        assert_eq!(far.client(python(), &format!("ask {PORT}"), b"").trim(), "ok");
    }
}
