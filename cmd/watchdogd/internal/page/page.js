// The page: the table, what is chosen, its actions and its logs.

const version = document.documentElement.dataset.version;
const rows = new Map(); // name -> { row, tr, cells, spark, tally, seen }
const charts = new Charts($("charts"));
const sparks = 30, sparkStep = 10, mostSparks = 200;
let chosen = ""; // a name; empty: all together
let all = null; // all together
let skew = 0; // of the daemon's clock, in seconds
let begun = 0; // when the daemon was started
let order = { by: "", down: false };
let source = null, heard = 0, retry = 0, loading = 0;

// ---- events

function connect() {
  clearTimeout(retry);
  source?.close();
  source = null;
  if (document.hidden) return; // until it is seen again
  heard = Date.now();
  source = new EventSource("events");
  source.addEventListener("full", (e) => full(JSON.parse(e.data)));
  source.addEventListener("change", (e) => change(JSON.parse(e.data)));
  source.onerror = () => lost();
}

// lost is called while the browser tries again by itself, and when it has given up.
async function lost() {
  linked("lost", "Connection lost, trying again");
  if (source?.readyState !== EventSource.CLOSED) return;
  clearTimeout(retry);
  retry = setTimeout(connect, 1000);
  const asked = new AbortController();
  const answer = await fetch("events", { signal: asked.signal }).catch(() => null);
  if (answer?.status === 401) location.reload(); // to the login
  if (answer && !answer.ok && $("link").dataset.link === "lost") linked("lost", (await answer.json().catch(() => ({}))).error || "Connection lost, trying again");
  asked.abort();
}

function linked(state, text) {
  $("link").dataset.link = state;
  put($("link"), text);
  document.body.classList.toggle("stale", state === "lost");
}

// A hidden page lets go of its connections; one that hears nothing makes new ones.
document.addEventListener("visibilitychange", () => {
  clearTimeout(retry);
  if (document.hidden) {
    retry = setTimeout(() => { source?.close(); source = null; logs?.stop(); }, 5000);
  } else if (!source && uPlot) {
    connect();
    logs?.start();
  }
});
setInterval(() => {
  if (source && Date.now() - heard > 15000) { linked("lost", "Connection lost, trying again"); connect(); }
  next();
}, 1000);

function full(event) {
  if (event.version !== version) return location.reload(); // another watchdogd, with another page
  heard = Date.now();
  skew = event.at - heard / 1000;
  if (begun && event.begun !== begun) done("watchdogd was started again at " + clock(new Date(event.begun * 1000)) + ".");
  begun = event.begun;
  all = event.all;
  const names = new Set(event.rows.map((r) => r.name));
  for (const name of rows.keys()) if (!names.has(name)) gone(name);
  const body = document.createDocumentFragment();
  for (const row of event.rows) body.append(update(row).tr);
  $("routes").tBodies[0].append(body);
  reorder(event.rows.map((r) => r.name));
  linked("live", "Live");
  arrange();
  tiles();
  choose(rows.has(chosen) ? chosen : "", true);
  prefill();
}

function change(event) {
  heard = Date.now();
  skew = event.at - heard / 1000;
  if ($("link").dataset.link !== "live") linked("live", "Live");
  let came = false, mine = false;
  for (const row of event.rows || []) {
    const was = rows.get(row.name);
    came ||= !was || filtered(was.row) !== filtered(row);
    if (was && was.row.state !== row.state) announce(row);
    if (row.name === chosen && (!was || was.row.state !== row.state || was.row.restarts !== row.restarts || was.row.instances !== row.instances)) mine = true;
    const its = update(row);
    if (!was) $("routes").tBodies[0].append(its.tr);
  }
  for (const name of event.gone || []) gone(name);
  if (event.order) reorder(event.order);
  if (event.all) {
    all = event.all;
    for (const its of rows.values()) tally(its);
    const sample = chosen ? rows.get(chosen)?.row : all;
    if (sample) charts.add(event.at, sample);
    tiles();
  }
  if (came || event.order || order.by) arrange();
  head();
  if (mine) detail();
}

// reorder puts rows in the order of names, which is that of the configuration.
function reorder(names) {
  for (const name of names) {
    const its = rows.get(name);
    if (!its) continue;
    rows.delete(name);
    rows.set(name, its);
  }
}

function gone(name) {
  rows.get(name)?.tr.remove();
  rows.delete(name);
  if (name === chosen) { choose(""); done(name + " is gone: it is not in the configuration any more."); }
}

// ---- the table

const cellsOf = [["st"], ["wide"], ["n"], ["n wide"], ["n"], ["n wide"], ["n"], ["n wide"], ["n wide"], ["n wide"], ["n wide"]];

function update(row) {
  let its = rows.get(row.name);
  if (!its) {
    const tr = make("tr");
    const th = make("th", undefined, { scope: "row" });
    its = { tr, button: make("button", row.name, { tabindex: "-1" }), mode: make("small"), cells: cellsOf.map(([c]) => make("td", undefined, { class: c })), spark: [], tally: [], seen: 0 };
    its.state = make("span", "", { class: "s" });
    its.reason = make("small");
    its.cells[0].append(its.state, its.reason);
    th.append(its.button, its.mode);
    tr.append(th, ...its.cells);
    tr.addEventListener("click", () => { choose(row.name); });
    its.button.addEventListener("keydown", (e) => step(e, tr));
    rows.set(row.name, its);
  }
  its.row = row;
  put(its.mode, row.kind === "service" ? "service" : row.mode || "");
  put(its.state, row.state);
  its.state.dataset.s = kinds[row.state] || "warn";
  put(its.reason, because(row));
  const c = its.cells, calls = row.kind === "route";
  const now = Date.now();
  if (row.p99) { its.seen = now; its.quick = [row.p50, row.p95, row.p99]; }
  const quick = now - its.seen < 10000 ? its.quick : [0, 0, 0];
  put(c[2], calls ? count(row.rate) : "");
  put(c[3], calls ? count(row.errors) : "");
  for (let i = 0; i < 3; i++) put(c[4 + i], seconds(quick[i]));
  put(c[7], calls ? String(row.inflight) + (row.queued ? " + " + row.queued + " waiting" : "") : "");
  put(c[8], row.process ? String(row.instances) : "");
  put(c[9], row.process ? percent(row.cpu) : "");
  put(c[10], row.process ? bytes(row.rss_bytes) : "");
  c[3].classList.toggle("bad", row.errors > 0);
  for (const i of [2, 3, 7]) c[i].classList.toggle("zero", c[i].textContent === "0");
  return its;
}

// because is why a row is in its state, where that is not as it should be.
function because(row) {
  if (row.state === "ready") return row.reason || "";
  const why = row.reason || row.last_exit || "";
  const due = row.next_start ? Math.max(0, Date.parse(row.next_start) / 1000 - Date.now() / 1000 - skew) : 0;
  return [why, due > 0 ? "next start in " + lasting(Math.ceil(due)) : ""].filter(Boolean).join("; ");
}

// next counts down to the next attempts.
function next() {
  for (const { row, reason } of rows.values()) if (row.next_start) put(reason, because(row));
  if (rows.get(chosen)?.row.next_start) head();
}

// tally makes a point of the sparkline every ten seconds.
function tally(its) {
  if (its.row.kind !== "route" || rows.size > mostSparks) return;
  its.tally.push(its.row.rate);
  if (its.tally.length < sparkStep) return;
  its.spark.push(its.tally.reduce((a, b) => a + b, 0) / its.tally.length);
  its.tally = [];
  sparkline(its);
}

function sparkline(its) {
  its.spark = its.spark.slice(-sparks);
  if (its.spark.length < 2) return;
  const most = Math.max(...its.spark, 0.001);
  const path = its.spark.map((v, i) => (i ? "L" : "M") + (96 - (its.spark.length - 1 - i) * 96 / (sparks - 1)).toFixed(1) + " " + (18.5 - 17 * v / most).toFixed(1)).join("");
  if (!its.path) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    its.path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    for (const [k, v] of [["class", "spark"], ["viewBox", "0 0 96 20"], ["aria-hidden", "true"]]) svg.setAttribute(k, v);
    svg.append(its.path);
    its.cells[1].replaceChildren(svg);
  }
  its.path.setAttribute("d", path);
}

// prefill takes the sparklines from the history.
async function prefill() {
  if (rows.size > mostSparks) return;
  const query = new URLSearchParams({ last: String(sparks) });
  for (const [name, { row }] of rows) if (row.kind === "route") query.append("name", name);
  const answer = await fetch("history?" + query).catch(() => null);
  if (!answer?.ok) return;
  for (const s of (await answer.json()).series) {
    const its = rows.get(s.name);
    if (its) { its.spark = s.rate; sparkline(its); }
  }
}

function filtered(row) {
  const wanted = $("filter").value.trim().toLowerCase();
  return wanted !== "" && ![row.name, row.state, row.mode || row.kind].some((t) => t.toLowerCase().includes(wanted));
}

// arrange filters and sorts the table.
function arrange() {
  const list = [...rows.values()];
  if (order.by) {
    const value = (r) => order.by === "state" ? worst.indexOf(kinds[r.state] || "warn") : r[order.by];
    list.sort((a, b) => {
      const x = value(a.row), y = value(b.row);
      return (x < y ? -1 : x > y ? 1 : 0) * (order.down ? -1 : 1);
    });
  }
  const body = $("routes").tBodies[0];
  let shown = 0;
  list.forEach((its, i) => {
    its.tr.hidden = filtered(its.row);
    if (!its.tr.hidden) shown++;
    if (body.rows[i] !== its.tr) body.insertBefore(its.tr, body.rows[i] || null);
  });
  $("none").hidden = shown > 0;
  tabbable();
}

// tabbable leaves one name of the table in the order of Tab; the arrows move among them.
function tabbable(to) {
  const old = $("routes").querySelector("tbody button[tabindex='0']");
  to ||= rows.get(chosen)?.tr;
  if (!to || to.hidden) to = old && !old.closest("tr").hidden ? old.closest("tr") : [...$("routes").tBodies[0].rows].find((tr) => !tr.hidden);
  const button = to?.querySelector("button");
  if (button === old) return;
  old?.setAttribute("tabindex", "-1");
  button?.setAttribute("tabindex", "0");
}

function step(e, tr) {
  const key = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[e.key];
  let to = null;
  if (key) for (to = tr[key]; to?.hidden; to = to[key]);
  else if (e.key === "Home" || e.key === "End") to = [...tr.parentNode.rows].filter((r) => !r.hidden).at(e.key === "Home" ? 0 : -1);
  if (!to) return;
  e.preventDefault();
  tabbable(to);
  to.querySelector("button").focus();
}

for (const th of $("routes").tHead.rows[0].cells) {
  th.querySelector("button")?.addEventListener("click", () => {
    const by = th.dataset.by, down = by !== "name" && by !== "state";
    order = order.by !== by ? { by, down } : order.down === down ? { by, down: !down } : { by: "", down: false };
    for (const other of $("routes").tHead.rows[0].cells) other.removeAttribute("aria-sort");
    if (order.by) th.setAttribute("aria-sort", order.down ? "descending" : "ascending");
    arrange();
  });
}
$("filter").addEventListener("input", arrange);
document.addEventListener("keydown", (e) => {
  if (e.target.matches("input, dialog *") || e.ctrlKey || e.metaKey || e.altKey) return;
  if (e.key === "/") { e.preventDefault(); $("filter").focus(); }
  if (e.key === "Escape" && chosen) {
    const left = rows.get(chosen)?.tr; // the keyboard goes on where it came from
    choose("");
    if (left && !left.hidden) { tabbable(left); left.querySelector("button").focus(); }
  }
});

function tiles() {
  let bad = 0, warn = 0;
  for (const { row } of rows.values()) {
    const kind = kinds[row.state] || "warn";
    if (kind === "bad") bad++;
    if (kind === "warn") warn++;
  }
  const list = [
    ["Requests/s", count(all.rate)], ["Errors/s", count(all.errors)], ["p99", seconds(all.p99) || "-"], ["In flight", all.inflight + (all.queued ? " + " + all.queued : "")],
    ["Instances", String(all.instances)], ["CPU", percent(all.cpu)], ["Memory", bytes(all.rss_bytes)],
    ["Not ready", bad + warn ? bad + warn + " of " + rows.size : "none"],
  ];
  list.forEach(([title, value], i) => {
    let li = $("tiles").children[i];
    if (!li) {
      li = make("li");
      li.append(make("span", title), make("b"));
      $("tiles").append(li);
    }
    put(li.lastChild, value);
  });
  $("tiles").children[1].lastChild.className = all.errors > 0 ? "bad" : "";
  $("tiles").children[7].lastChild.className = bad > 0 ? "bad" : "";
}

// announce tells a screen reader of a change of state: of several at once the first three.
const news = new Map();
function announce(row) {
  if (news.size === 0) setTimeout(() => {
    const said = [...news.values()];
    put($("live"), said.slice(0, 3).join(". ") + (said.length > 3 ? ". And " + (said.length - 3) + " more" : ""));
    news.clear();
  }, 500);
  news.set(row.name, row.name + " is " + row.state + (because(row) ? ": " + because(row) : ""));
}

// ---- what is chosen

async function choose(name, again) {
  if (!again && name === chosen && name === "") return;
  if (!again || name !== chosen) { done(""); put($("why"), ""); $("lives").hidden = $("endpoints").hidden = true; }
  const other = name !== chosen;
  rows.get(chosen)?.tr.removeAttribute("aria-current");
  chosen = name;
  rows.get(name)?.tr.setAttribute("aria-current", "true");
  put($("title"), name || "All routes and services");
  $("back").hidden = !name;
  tabbable();
  head();
  if (other && !again) $("title").focus({ preventScroll: matchMedia("(min-width:861px)").matches });
  if (other) { charts.load(null); charts.draw(rows.get(name)?.row); }
  if (other || !logs?.running) logs?.start();
  const mine = ++loading;
  const answer = await fetch("history?" + new URLSearchParams({ name })).catch(() => null);
  const series = answer?.ok ? (await answer.json()).series[0] : null;
  if (mine !== loading) return; // another was chosen meanwhile
  charts.load(series);
  charts.draw(rows.get(name)?.row);
  detail();
}

// head shows the state of what is chosen, and which actions make sense.
function head() {
  const row = rows.get(chosen)?.row;
  const state = $("state");
  state.className = row ? "s" : "";
  if (row) state.dataset.s = kinds[row.state] || "warn";
  put(state, row ? row.state + (row.restarts ? ", " + row.restarts + (row.restarts === 1 ? " restart" : " restarts") : "") : "");
  $("actions").hidden = !control || !row?.process || row.removed;
  if (!row) return;
  const off = row.state === "stopped" || row.state === "exited";
  const show = { start: off || row.state === "crash-loop" || row.state === "backoff" || row.state === "idle", restart: !off, stop: row.state !== "stopped", scale: !off };
  for (const b of $("actions").children) b.hidden = !show[b.dataset.do];
}

// detail asks for what the events do not have.
let asking = 0;
async function detail() {
  const name = chosen, mine = ++asking;
  if (!name) { put($("why"), ""); $("lives").hidden = $("endpoints").hidden = true; return; }
  const answer = await fetch("ps/" + encodeURIComponent(name)).catch(() => null);
  if (!answer?.ok || mine !== asking || name !== chosen) return;
  const of = await answer.json();
  if (mine !== asking || name !== chosen) return;
  put($("why"), of.why || "");
  $("lives").hidden = !of.lives.length;
  $("lives").querySelector("tbody").replaceChildren(...of.lives.map((l) => {
    const began = new Date(l.started), end = l.ended ? new Date(l.ended) : new Date(Date.now() + skew * 1000);
    return line([l.instance, l.pid || "-", moment(began), lasting((end - began) / 1000), [l.calls], [l.peak_rss_bytes ? bytes(l.peak_rss_bytes) : "-"], l.ended ? l.reason || "-" : "it runs"]);
  }));
  const ends = of.endpoints || [];
  $("endpoints").hidden = !ends.length;
  $("endpoints").querySelector("tbody").replaceChildren(...ends.map((e) => line([e.address, e.state, [e.inflight], e.reason || "-"])));
}
setInterval(() => { if (chosen && !document.hidden && source?.readyState === EventSource.OPEN) detail(); }, 10000);

// line is a row of a table; a value in brackets is a number.
function line(values) {
  const tr = make("tr");
  tr.append(...values.map((v) => Array.isArray(v) ? make("td", String(v[0]), { class: "n" }) : make("td", plain(String(v)))));
  return tr;
}

$("back").addEventListener("click", () => choose(""));

// ---- actions

function done(text, bad) {
  put($("done"), text);
  $("done").className = bad ? "bad" : "";
}

const consequences = {
  start: (r) => "It is started, and a crash loop is forgotten.",
  stop: (r) => (r.kind === "route" ? "Requests to it are answered with 503 until it is started again. " : "") + "Requests under way may finish first.",
  restart: (r) => "Its " + (r.instances === 1 ? "instance is" : "instances are") + " replaced as its configuration says. Requests under way may finish first.",
  scale: (r) => "It has " + r.instances + " now. A reload of the configuration sets its own number again.",
};

for (const b of $("actions").children) b.addEventListener("click", () => {
  const row = rows.get(chosen)?.row, what = b.dataset.do;
  if (!row) return;
  const name = row.name, word = b.textContent;
  put($("question"), word + " " + name + "?");
  put($("consequence"), consequences[what](row));
  put($("yes"), word);
  $("many").hidden = what !== "scale";
  $("count").value = String(row.instances);
  const dialog = $("sure");
  dialog.returnValue = "no";
  dialog.onclose = () => { if (dialog.returnValue === "yes") act(what, name, word); };
  dialog.showModal();
  (what === "scale" ? $("count") : $("no")).focus();
});

async function act(what, name, word) {
  done(word + " " + name + " …");
  const path = what + "/" + encodeURIComponent(name) + (what === "scale" ? "/" + encodeURIComponent($("count").value) : "");
  let error = "";
  try {
    const answer = await fetch(path, { method: "POST" });
    if (!answer.ok) error = (await answer.json().catch(() => ({}))).error || answer.status + " " + answer.statusText;
  } catch {
    error = "the connection was lost; whether it was done is not known";
  }
  done(error ? word + " " + name + ": " + error : word + " " + name + ": done.", Boolean(error));
  if (name === chosen) detail();
}

// What was sent is painted first.
requestAnimationFrame(() => setTimeout(() => {
  uPlot = loadPlot();
  connect();
}));
