"""Notes in PostgreSQL, and a counter of visits in Redis."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import redis

state = os.path.abspath(os.environ["STATE"])
visits = redis.Redis(unix_socket_path=f"{state}/redis.sock")


def query(sql, *values):
    """Runs one statement on a connection of its own; a larger application keeps a pool."""
    connection = psycopg2.connect(host=f"{state}/postgres", user="app", dbname="postgres")
    try:
        with connection, connection.cursor() as cursor:  # commits, or rolls back
            cursor.execute(sql, values)
            return cursor.fetchall()
    finally:
        connection.close()


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body leave together

    def do_GET(self):
        if self.path == "/":
            self.attempt(self.show)
        else:
            self.answer(404, {"error": "there is only /"})

    def do_POST(self):
        text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode(errors="replace").replace("\0", "")
        self.attempt(lambda: self.add(text))

    def show(self):
        notes = [text for (text,) in query("SELECT text FROM notes ORDER BY id")]
        self.answer(200, {"visits": visits.incr("visits"), "notes": notes})

    def add(self, text):
        [(number,)] = query("INSERT INTO notes (text) VALUES (%s) RETURNING id", text)
        self.answer(201, {"id": number})

    def attempt(self, do):
        try:
            do()
        except (psycopg2.Error, redis.RedisError) as error:  # as while a database restarts
            self.log_error("%s", error)
            self.answer(503, {"error": "the database does not answer"})

    def answer(self, status, value):
        body = json.dumps(value).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer.request_queue_size = 128  # connections that wait to be accepted; 5 by default, too few for a burst
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
