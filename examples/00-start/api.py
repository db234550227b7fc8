import os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class API(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/crash":
            print("KeyError: 'tea'", file=sys.stderr, flush=True)
            os._exit(1)
        body = b'{"tea": 3, "cake": 5}\n'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


print("\033[32mthe shop is open\033[0m", flush=True)
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), API).serve_forever()
