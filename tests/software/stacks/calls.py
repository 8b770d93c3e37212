"""grpcio: `calls.py serve PORT` answers calls of all four kinds, `calls.py ask PORT` makes them."""

import sys
from concurrent import futures

import grpc

SERVICE = "test.Calls"


def fails(request, context):
    context.set_trailing_metadata((("why", "because"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: é")


def sleeps(request, context):
    import time

    while context.is_active():
        time.sleep(0.02)
    return b""


def told(request, context):
    seen = dict(context.invocation_metadata())
    context.send_initial_metadata((("first", seen["told"]),))
    context.set_trailing_metadata((("last-bin", seen["told-bin"]),))
    return request


def serve(port):
    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(lambda request, _: request),
        "Down": grpc.unary_stream_rpc_method_handler(
            lambda request, _: (bytes([n % 256]) * 1000 for n in range(int(request)))
        ),
        "Up": grpc.stream_unary_rpc_method_handler(lambda all, _: str(sum(map(len, all))).encode()),
        "Both": grpc.stream_stream_rpc_method_handler(lambda all, _: (one[::-1] for one in all)),
        "Fails": grpc.unary_unary_rpc_method_handler(fails),
        "Sleeps": grpc.unary_unary_rpc_method_handler(sleeps),
        "Told": grpc.unary_unary_rpc_method_handler(told),
    }
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def ask(port):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        name = f"/{SERVICE}/{{}}".format
        unary = channel.unary_unary(name("Unary"))
        for size in [0, 1, 1000, 100_000, 3_000_000]:
            assert unary(b"u" * size, timeout=30) == b"u" * size
        for _ in range(200):
            assert unary(b"again", timeout=30) == b"again"
        down = list(channel.unary_stream(name("Down"))(b"500", timeout=30))
        assert down == [bytes([n % 256]) * 1000 for n in range(500)]
        up = channel.stream_unary(name("Up"))
        assert up((b"x" * 1000 for _ in range(500)), timeout=30) == b"500000"
        both = channel.stream_stream(name("Both"))
        assert list(both((f"{n}".encode() for n in range(10, 300)), timeout=30)) == [
            f"{n}".encode()[::-1] for n in range(10, 300)
        ]
        try:
            channel.unary_unary(name("Fails"))(b"", timeout=30)
            raise AssertionError("no failure")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
            assert error.details() == "not now: é", error.details()
            assert ("why", "because") in tuple(error.trailing_metadata())
        try:
            channel.unary_unary(name("Sleeps"))(b"", timeout=0.5)
            raise AssertionError("no deadline")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
        try:
            channel.unary_unary(name("Nothing"))(b"", timeout=30)
            raise AssertionError("a method that is not there")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
        cancelled = channel.unary_unary(name("Sleeps")).future(b"")
        assert cancelled.cancel()
        metadata = (("told", "word"), ("told-bin", b"\x00\xff"))
        answer, call = channel.unary_unary(name("Told")).with_call(
            b"t", metadata=metadata, timeout=30
        )
        assert answer == b"t" and ("first", "word") in tuple(call.initial_metadata())
        assert ("last-bin", b"\x00\xff") in tuple(call.trailing_metadata())
    print("ok")


if __name__ == "__main__":
    {"serve": serve, "ask": ask}[sys.argv[1]](int(sys.argv[2]))
