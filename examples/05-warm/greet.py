"""Answers one call. Whatever is slow stands above serve, and is done before the call."""
import os
import sys


def variables():
    """The request's variables: on a descriptor when we were started ahead of it."""
    descriptor = os.environ.get("WATCHDOG_ENV_FD")
    if descriptor is None:  # none was waiting, and we were started for this call
        return os.environ
    with os.fdopen(int(descriptor), "rb") as block:
        pairs = (entry.partition(b"=") for entry in block.read().split(b"\0") if entry)
        return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def serve():
    request = variables()
    body = sys.stdin.read()
    print(f"{request['Http_Method']} {request.get('Http_Query', '')}: hello {body or 'you'}, from Python")


serve()
