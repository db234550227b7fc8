"""A function that gets a form as JSON, and sets its status and headers at its end."""
import base64
import json
import sys

form = json.load(sys.stdin)


def content(name):
    """What was sent under that name: text is in "value", anything else in "base64"."""
    part = form[name][0]
    return base64.b64decode(part["base64"]) if "base64" in part else part["value"].encode()


picture = content("picture")
sys.stdout.write("Status: 201 Created\r\nContent-Type: text/plain\r\nX-Picture-Size: %d\r\n\r\n" % len(picture))
sys.stdout.write("hello " + content("name").decode() + "\n")
