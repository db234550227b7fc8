"""Serves one function of text on $PORT: python3 functions.py NAME"""

import base64
import codecs
import csv
import hashlib
import html
import io
import json
import os
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

FUNCTIONS = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "count": lambda text: str(len(text.split())),
    "csv": lambda text: json.dumps(list(csv.DictReader(io.StringIO(text)))),
    "escape": html.escape,
    "hex": lambda text: text.encode().hex(),
    "json": lambda text: json.dumps(json.loads(text), indent=2),
    "keys": lambda text: "\n".join(json.loads(text)),
    "lines": lambda text: str(len(text.splitlines())),
    "lower": str.lower,
    "md5": lambda text: hashlib.md5(text.encode()).hexdigest(),
    "quote": quote,
    "reverse": lambda text: text[::-1],
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "sha256": lambda text: hashlib.sha256(text.encode()).hexdigest(),
    "slug": lambda text: re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-"),
    "sort": lambda text: "\n".join(sorted(text.splitlines())),
    "title": str.title,
    "unbase64": lambda text: base64.b64decode(text, validate=True).decode(),
    "unique": lambda text: "\n".join(dict.fromkeys(text.splitlines())),
    "upper": str.upper,
}
function = FUNCTIONS[sys.argv[1]]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self.answer(200, function(body.decode()))
        except (ValueError, TypeError, RecursionError, csv.Error) as error:  # what the input is not
            self.answer(400, f"{type(error).__name__}: {error}")

    def answer(self, status, text):
        body = (text + "\n").encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, *_):
        pass  # watchdogd logs each request


ThreadingHTTPServer.request_queue_size = 128  # connections that wait to be accepted; 5 by default, too few for a burst
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
