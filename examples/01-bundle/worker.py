"""An afterburn worker: it is started once and answers HTTP on stdin and stdout."""

import json
import sys

calls = 0
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer

while request_line := stdin.readline():
    length = 0
    while (line := stdin.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    body = stdin.read(length)
    calls += 1
    answer = json.dumps({"call": calls, "words": len(body.split())}).encode() + b"\n"
    stdout.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    stdout.write(b"Content-Length: %d\r\n\r\n" % len(answer))
    stdout.write(answer)
    stdout.flush()
