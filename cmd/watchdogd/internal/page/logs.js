// The logs of what is chosen, with a search.

const mostLines = 2000;

// stamp is a time that can be compared as text: its fraction has all digits.
const stamp = (time) => time.replace(/(?:\.(\d+))?(Z|[+-]\d\d:\d\d)$/, (_, digits = "") => "." + digits.padEnd(9, "0"));

class Logs {
  constructor() {
    this.box = $("lines");
    this.list = []; // { line, element }
    this.fresh = [];
    $("search").addEventListener("input", () => this.filter());
    $("requests").addEventListener("change", () => this.start());
    this.box.addEventListener("scroll", () => { $("newest").hidden = this.atEnd(); });
    $("newest").addEventListener("click", () => { this.box.scrollTop = this.box.scrollHeight; });
  }

  // start shows the lines of what is chosen from now on.
  start() {
    this.stop();
    this.list = [];
    this.fresh = [];
    this.last = "";
    this.box.replaceChildren();
    put($("found"), "");
    this.running = new AbortController();
    this.follow(this.running, chosen);
  }

  stop() {
    this.running?.abort();
    this.running = null;
  }

  // follow reads lines until it is stopped, over new connections if it must.
  async follow(mine, name) {
    while (this.running === mine) {
      const query = new URLSearchParams({ follow: "", lines: this.last ? "0" : "500" });
      if (name) query.set("name", name);
      if (this.last) query.set("since", this.last);
      if ($("requests").checked) query.set("requests", "");
      try {
        const answer = await fetch("logs?" + query, { signal: mine.signal });
        if (answer.ok) await this.read(answer.body.pipeThrough(new TextDecoderStream()).getReader(), mine, this.last && stamp(this.last));
        else if (answer.status === 404) return this.add([{ time: new Date().toISOString(), name, stream: "event", text: "It keeps no lines: it prints nothing. Its requests can be shown." }]);
      } catch { /* it is tried again */ }
      if (this.running === mine) await new Promise((r) => setTimeout(r, 1000));
    }
  }

  // read shows the lines of a stream that are newer than since.
  async read(reader, mine, since) {
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done || this.running !== mine) return;
      const parts = (rest + value).split("\n");
      rest = parts.pop();
      this.add(parts.filter(Boolean).map((text) => JSON.parse(text)).filter((l) => !since || stamp(l.time) > since));
    }
  }

  add(lines) {
    if (lines.length === 0) return;
    if (this.fresh.length === 0) requestAnimationFrame(() => this.show());
    this.fresh.push(...lines);
    if (this.fresh.length > mostLines) this.fresh = this.fresh.slice(-mostLines);
  }

  show() {
    const end = this.atEnd(), part = document.createDocumentFragment();
    for (const line of this.fresh) {
      const e = make("div", undefined, { "data-stream": line.stream });
      const its = { text: plain(line.text), element: make("span", undefined, { class: "text" }), row: e };
      const who = line.name ? line.name + (line.pid ? "[" + line.pid + "]" : "") : line.stream;
      its.all = (who + " " + its.text).toLowerCase();
      e.append(make("time", clock(new Date(line.time)), { datetime: line.time, title: line.time }), make("span", who, { class: "who" }), its.element);
      this.mark(its);
      part.append(e);
      this.list.push(its);
      if (line.stream !== "lost") this.last = line.time;
    }
    this.fresh = [];
    this.box.append(part);
    for (const old of this.list.splice(0, Math.max(0, this.list.length - mostLines))) old.row.remove();
    this.found();
    if (end) this.box.scrollTop = this.box.scrollHeight;
  }

  atEnd() { return this.box.scrollHeight - this.box.scrollTop - this.box.clientHeight < 30; }

  filter() {
    for (const its of this.list) this.mark(its);
    this.found();
    this.box.scrollTop = this.box.scrollHeight;
  }

  // mark hides a line that does not have what is searched, and marks where it is in others.
  mark(its) {
    const wanted = $("search").value.toLowerCase();
    its.row.hidden = wanted !== "" && !its.all.includes(wanted);
    its.element.replaceChildren();
    let at = 0;
    if (wanted !== "" && !its.row.hidden) {
      const lower = its.text.toLowerCase();
      for (let i = lower.indexOf(wanted); i >= 0 && lower.length === its.text.length; i = lower.indexOf(wanted, at)) {
        its.element.append(its.text.slice(at, i), make("mark", its.text.slice(i, i + wanted.length)));
        at = i + wanted.length;
      }
    }
    its.element.append(its.text.slice(at));
  }

  found() {
    const shown = this.list.reduce((n, its) => n + (its.row.hidden ? 0 : 1), 0);
    put($("found"), $("search").value ? shown + " of " + this.list.length + " lines" : "");
  }
}

const logs = control ? new Logs() : null;
