"""A small web application of Python's standard library: a guest book in memory."""

import html
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

entries = []


class Guestbook(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together

    def do_GET(self):
        lines = "".join(f"<li>{html.escape(e)}</li>\n" for e in entries)
        self.answer(200, f"<ul>\n{lines}</ul>\n")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        entries.extend(parse_qs(body.decode(errors="replace")).get("entry", []))
        del entries[:-100]  # the last hundred
        self.answer(201, f"{len(entries)} in the book\n")

    def answer(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer.request_queue_size = 128  # connections that wait to be accepted; 5 by default, too few for a burst
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Guestbook).serve_forever()
