"""Python's own HTTP stack: `stack.py serve PORT` answers, `stack.py ask PORT` asks and prints `ok`."""

import http.client
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BIG = 4 << 20


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def do_GET(self):
        body = b"b" * BIG if self.path == "/big" else b"small"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.body()
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("X-Host", self.headers["Host"])
        self.end_headers()
        for start in range(0, len(body), 10_000):
            piece = body[start : start + 10_000]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")


def ask(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def get(method, path, **more):
        connection.request(method, path, **more)
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        return answer.read()

    for _ in range(100):
        assert get("GET", "/small") == b"small"
    assert get("GET", "/big") == b"b" * BIG
    body = bytes(range(256)) * 4096
    assert get("POST", "/echo", body=body) == body
    chunks = (body[start : start + 7_000] for start in range(0, len(body), 7_000))
    assert get("POST", "/echo", body=chunks, encode_chunked=True) == body
    assert get("POST", "/echo", body=b"") == b""
    print("ok")


if __name__ == "__main__":
    what, port = sys.argv[1], int(sys.argv[2])
    if what == "serve":
        ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
    ask(port)
