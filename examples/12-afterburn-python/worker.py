"""A worker that counts words. It is a handler of http.server, on stdin and stdout instead of a socket."""

import json
import sys
from http.server import BaseHTTPRequestHandler

STOP_WORDS = frozenset("a an and in of on or the to".split())  # in earnest: a model that takes seconds to load


class Words(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    calls = 0

    def setup(self):
        self.rfile, self.wfile = sys.stdin.buffer, sys.stdout.buffer
        sys.stdout = sys.stderr  # so that a print() goes to the log, and not into a response

    def do_POST(self):
        Words.calls += 1
        text = self.rfile.read(int(self.headers["Content-Length"])).decode(errors="replace")
        words = [word for word in text.lower().split() if word not in STOP_WORDS]
        body = json.dumps({"call": Words.calls, "words": len(words)}).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_):
        pass  # watchdogd logs each request


Words(None, ("watchdogd", 0), None)  # handles requests until the end of stdin
