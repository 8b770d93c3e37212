"""An API server that is not well: passes everything on, or does what a file says.

unwell.py PORT UPSTREAM FILE: the file holds one of ok, 429, 500, garbage, silence; whatever else than ok it says also
cuts what is open.
"""

import http.client
import http.server
import random
import sys
import threading
import time

PORT, UPSTREAM, FILE = int(sys.argv[1]), sys.argv[2], sys.argv[3]


def mode():
    try:
        with open(FILE, encoding="ascii") as file:
            return file.read().strip() or "ok"
    except FileNotFoundError:
        return "ok"


class Unwell(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def instead(self, how):
        self.close_connection = True
        if how == "silence":
            time.sleep(30)
            return
        if how == "garbage":
            self.wfile.write(random.randbytes(700))
            return
        body = b"" if how == "429" else b'{"kind": "Status", "code": "many", '
        self.send_response(int(how))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if how == "429":
            self.send_header("retry-after", "1")
        self.end_headers()
        self.wfile.write(body)

    def answer(self):
        how = mode()
        if how != "ok":
            return self.instead(how)
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length) if length else None
        upstream = http.client.HTTPConnection(UPSTREAM)
        kept = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection", "accept-encoding")}
        upstream.request(self.command, self.path, body, kept)
        answer = upstream.getresponse()
        self.send_response_only(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(key, value)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True
        # What is open when it falls ill is cut, wherever that is.
        over = threading.Event()

        def watch():
            while not over.wait(0.1):
                if mode() != "ok":
                    upstream.sock and upstream.sock.shutdown(2)
                    return

        threading.Thread(target=watch, daemon=True).start()
        try:
            while part := answer.read1(65536):
                self.wfile.write(part if mode() == "ok" else part[: len(part) // 2])
                self.wfile.flush()
        except (OSError, http.client.HTTPException):
            pass
        finally:
            over.set()
            upstream.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Unwell).serve_forever()
