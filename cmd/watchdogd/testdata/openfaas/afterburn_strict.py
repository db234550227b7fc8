"""An afterburn client that is as strict as the strictest one there was.

What it demands of a request: the head and a body of up to 60 KiB arrive in one read;
CRLF ends each line; Host, User-Agent if there is one, and Content-Length come first and in
this order, spelled so, with one blank, and the others after them, sorted; never chunked;
nothing follows before the answer. A request that is not so is answered with 500 and what is wrong.
"""
import json
import os
import select

calls = 0
while True:
    data = os.read(0, 1 << 20)
    if not data:
        break
    calls += 1
    wrong = []
    head, end, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not end:
        wrong.append("the head did not come in one read")
    if b"\n" in head.replace(b"\r\n", b""):
        wrong.append("a line ends without CR")
    method, target, version = lines[0].split(" ")
    if version != "HTTP/1.1":
        wrong.append("version " + version)
    names = [line.split(": ")[0] for line in lines[1:]]
    headers = [line.split(": ", 1) for line in lines[1:]]
    lengths = [value for name, value in headers if name == "Content-Length"]
    length = int(lengths[0]) if lengths else -1
    if len(lengths) != 1:
        wrong.append("Content-Length is there %d times: %r" % (len(lengths), names))
    if any(name.lower() == "transfer-encoding" for name in names):
        wrong.append("chunked")
    first = [name for name in ("Host", "User-Agent", "Content-Length") if name in names]
    if names[:len(first)] != first:
        wrong.append("the first headers are %r" % names[:3])
    if names[len(first):] != sorted(names[len(first):]):
        wrong.append("the other headers are not sorted: %r" % names[len(first):])
    if len(head) + 4 + length <= 60 << 10 and len(body) != length:
        wrong.append("%d of %d bytes of the body came with the head" % (len(body), length))
    while len(body) < length:
        more = os.read(0, 1 << 20)
        if not more:
            break
        body += more
    if len(body) > length >= 0:
        wrong.append("%d bytes too many" % (len(body) - length))
    if select.select([0], [], [], 0)[0]:
        wrong.append("something follows before the answer")
    answer = json.dumps({
        "method": method, "target": target, "headers": headers,
        "body": len(body), "calls": calls, "wrong": wrong,
    }).encode()
    out = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nX-Many: one\r\nX-Many: two\r\nContent-Length: %d\r\n\r\n" % (
        b"500 Wrong" if wrong else b"200 OK", len(answer))
    os.write(1, out + answer)
