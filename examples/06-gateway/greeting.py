"""A function for Alexa: started for each request, it reads one from stdin and prints the answer."""

import json
import os
import sys

request = json.load(sys.stdin)
skill = os.environ.get("SKILL_ID")
if skill and request["session"]["application"]["applicationId"] != skill:
    sys.exit("the request is for another skill")  # a status other than 0 is answered with 500
slots = request["request"]["intent"].get("slots", {})
name = slots.get("name", {}).get("value", "stranger")
speech = {"type": "PlainText", "text": f"Hello, {name}!"}
print(json.dumps({"version": "1.0", "response": {"outputSpeech": speech, "shouldEndSession": True}}))
