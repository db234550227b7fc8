"""Notes that are kept in the session, as a small Flask application."""

import os

from flask import Flask, redirect, render_template_string, request, session, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

app = Flask(__name__)
app.secret_key = os.environ["SECRET_KEY"]
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_prefix=1)  # watchdogd is in front

PAGE = """<!doctype html>
<title>Notes</title>
<form method="post" action="{{ url_for('add') }}">
  <input name="text" required> <button>Add</button>
</form>
<ul>
{% for note in notes %}  <li>{{ note }}</li>
{% endfor %}</ul>
"""


@app.get("/")
def show():
    return render_template_string(PAGE, notes=session.get("notes", []))


@app.post("/add")
def add():
    session["notes"] = session.get("notes", [])[-9:] + [request.form["text"][:100]]
    return redirect(url_for("show"))


@app.get("/health")
def health():
    return "OK\n"
