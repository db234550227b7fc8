"""An HTTP function as the Python templates make them: a threading server on one port."""
import http.server
import json
import os
import sys


class Function(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/error":
            status, text = 500, b"the function failed"
        else:
            status, text = 200, json.dumps({
                "method": self.command, "path": self.path, "body": body.decode(), "host": self.headers["Host"],
                "chunked": "Transfer-Encoding" in self.headers,
            }).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def log_message(self, form, *args):
        print("python:", form % args, file=sys.stderr, flush=True)


http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["FUNCTION_PORT"])), Function).serve_forever()
