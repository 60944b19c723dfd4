#!/usr/bin/env python3
"""An HTTP server that answers well or badly, as the path says.

usage: http_server.py LOG [ADDRESS]

Listens on a free port of ADDRESS (127.0.0.1), prints "port N", and writes one
line for each request to LOG: the path, the method and the idempotency key.
A path may end in anything after its first part: /status/503/x.

  /echo            the request as JSON
  /status/N        status N; /status/N/HEADER/VALUE with one header more
  /retry-date/S    503 with Retry-After as a date, S seconds ahead
  /fail-first/N/X  503 to the first N requests of this path, then 200
  /hang            reads the request and never answers
  /reset           reads the request and resets the connection
  /reset-body      sends half of what it promised and resets
  /drip            one byte each 100 ms, for ever
  /big/N           N bytes of body, streamed
  /gzip-bomb       few bytes that say that they are gzip, and inflate to 100 MB
  /bytes/HEX       a body of these bytes, as text
  /json/HEX        the same, as JSON
  /redirect/URL    302 to the rest of the path
"""
import email.utils
import json
import socket
import struct
import sys
import threading
import time
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

seen = {}
lock = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def handle_one(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        with lock:
            log.write("%s %s %s\n" % (self.path, self.command,
                                      self.headers.get("Idempotency-Key")))
            log.flush()
            seen[self.path] = seen.get(self.path, 0) + 1
            self.count = seen[self.path]
        parts = self.path.split("?")[0].split("/")[1:]
        action = getattr(self, "do_" + parts[0].replace("-", "_"), None)
        if action is None:
            self.answer(404, b"not found")
        else:
            action(*parts[1:])

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = handle_one

    def answer(self, status, body=b"", headers=(), type="text/plain"):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_echo(self, *rest):
        request = {"method": self.command, "path": self.path,
                   "headers": {k.lower(): v for k, v in self.headers.items()},
                   "body": self.body.decode()}
        self.answer(200, json.dumps(request).encode(), type="application/json")

    def do_status(self, status, *rest):
        headers = [rest[0:2]] if len(rest) == 2 else []
        self.answer(int(status), b"status " + status.encode(), headers)

    def do_retry_date(self, seconds, *rest):
        when = email.utils.formatdate(time.time() + int(seconds), usegmt=True)
        self.answer(503, b"later", [("Retry-After", when)])

    def do_fail_first(self, count, *rest):
        if self.count <= int(count):
            self.answer(503, b"not yet")
        else:
            self.answer(200, b"now")

    def do_hang(self, *rest):
        time.sleep(600)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                   struct.pack("ii", 1, 0))
        self.wfile.flush()
        self.connection.close()
        self.close_connection = True

    def do_reset(self, *rest):
        self.reset()

    def do_reset_body(self, *rest):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")
        self.wfile.flush()
        time.sleep(0.2)
        self.reset()

    def do_drip(self, *rest):
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b".")
                self.wfile.flush()
                time.sleep(0.1)
        except OSError:
            self.close_connection = True

    def do_big(self, size, *rest):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        try:
            for _ in range(int(size) // 65536):
                self.wfile.write(chunk)
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def do_gzip_bomb(self, *rest):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        body = packer.compress(b"\0" * 100_000_000) + packer.flush()
        self.answer(200, body, [("Content-Encoding", "gzip")])

    def do_bytes(self, data, *rest):
        self.answer(200, bytes.fromhex(data))

    def do_json(self, data, *rest):
        self.answer(200, bytes.fromhex(data), type="application/json")

    def do_redirect(self, *rest):
        self.answer(302, b"", [("Location", "/".join(rest))])


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass


log = open(sys.argv[1], "a")
address = sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1"
server = Server((address, 0), Handler)
print("port %d" % server.server_port, flush=True)
server.serve_forever()
