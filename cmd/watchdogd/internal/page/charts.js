// The charts of the last hour: what is kept, and then each second as it comes.

let uPlot = null; // the library, once the page has been painted
const hour = 3600;
const together = 10; // seconds that become one point
const drawings = [
  { key: "rate", title: "Requests a second", of: [["rate", "requests/s"]], show: count, calls: true },
  { key: "latency", title: "Latency", of: [["p50", "p50"], ["p95", "p95"], ["p99", "p99"]], show: seconds, calls: true, gaps: true },
  { key: "errors", title: "Errors a second", of: [["errors", "errors/s"]], show: count, calls: true },
  { key: "instances", title: "Instances", of: [["instances", "running"]], show: (n) => String(Math.round(n * 10) / 10), process: true, whole: true },
  { key: "memory", title: "Memory", of: [["rss_bytes", "resident"]], show: bytes, process: true, binary: true },
  { key: "cpu", title: "CPU", of: [["cpu", "of a core"]], show: percent, process: true },
];
const columns = ["rate", "errors", "p50", "p95", "p99", "instances", "cpu", "rss_bytes"];

// Charts draws one route or service, or all together.
class Charts {
  constructor(into) {
    this.into = into;
    this.plots = [];
    this.data = { at: [] };
    this.fresh = 0; // points at the end that are of a second each
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (this.plots.length > 0) this.draw(this.row); });
    this.resized = new ResizeObserver(() => {
      for (const p of this.plots) p.plot.setSize({ width: Math.max(p.box.clientWidth, 60), height: p.box.clientHeight });
    });
    this.resized.observe(into);
  }

  // load takes a series of the history.
  load(series) {
    this.data = { at: series ? series.at.slice() : [] };
    for (const c of columns) this.data[c] = series ? series[c].slice() : [];
    this.fresh = 0;
  }

  // add takes one sample more.
  add(at, sample) {
    const d = this.data;
    if (d.at.length > 0 && at <= d.at[d.at.length - 1]) return;
    d.at.push(at);
    for (const c of columns) (d[c] ||= []).push(sample[c]);
    if (++this.fresh === together) this.join();
    while (d.at[0] < at - hour) {
      d.at.shift();
      for (const c of columns) d[c].shift();
    }
    for (const p of this.plots) p.plot.setData(this.of(p.drawing));
    this.describe();
  }

  // join makes one point of the last seconds, as those of the history are: rates are their mean,
  // durations the longest.
  join() {
    const d = this.data, from = d.at.length - together;
    for (const c of columns) {
      const last = d[c].splice(from);
      d[c].push(c === "instances" || c === "rss_bytes" ? last[together - 1] : c[0] === "p" ? Math.max(...last) : last.reduce((a, b) => a + b, 0) / together);
    }
    d.at.splice(from, together - 1);
    this.fresh = 0;
  }

  of(drawing) {
    const values = drawing.of.map(([column]) => {
      const all = this.data[column] || [];
      return drawing.gaps ? all.map((v) => v === 0 ? null : v) : all;
    });
    return [this.data.at, ...values];
  }

  // draw makes the charts that say something of row, or of all if there is none.
  draw(row) {
    this.row = row;
    for (const p of this.plots) p.plot.destroy();
    this.plots = [];
    this.into.replaceChildren();
    const style = getComputedStyle(document.documentElement);
    for (const drawing of drawings) {
      if (row && (drawing.calls && row.kind !== "route" || drawing.process && !row.process)) continue;
      const figure = make("figure", undefined, { class: drawing.key });
      const caption = make("figcaption");
      caption.append(make("b", drawing.title));
      const values = drawing.of.map(() => make("i"));
      caption.append(...values);
      const box = make("div", undefined, { class: "plot", role: "img" });
      figure.append(caption, box);
      this.into.append(figure);
      const p = { drawing, box, values };
      p.plot = new uPlot(this.options(drawing, box, style, p), this.of(drawing), box);
      this.plots.push(p);
    }
    this.described = 0;
    this.describe();
  }

  options(drawing, box, style, p) {
    const colour = (name) => style.getPropertyValue(name).trim();
    const strokes = drawing.key === "errors" ? ["--c3"] : ["--c1", "--c2", "--c3"];
    const axis = { stroke: colour("--dim"), font: "11px system-ui, sans-serif", grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
    return {
      width: Math.max(box.clientWidth, 60), height: box.clientHeight || 130,
      padding: [10, 6, 0, 0], legend: { show: false }, cursor: { sync: { key: "hour" }, y: false, drag: { x: false, y: false }, points: { size: 5 } },
      scales: {
        x: { time: true, range: (u, least, most) => [Math.min(least ?? 0, (most ?? 0) - 300), most ?? 0] },
        y: { range: (u, least, most) => [0, Math.max((most || 0) * 1.1, drawing.whole ? 2 : drawing.key === "latency" ? 0.001 : drawing.binary ? 1 << 20 : drawing.key === "cpu" ? 0.05 : 1)] },
      },
      axes: [
        { ...axis, space: 70, size: 24, gap: 3, values: (u, all) => all.map((t) => new Date(t * 1000).toLocaleTimeString([], { hour12: false, hour: "2-digit", minute: "2-digit" })) },
        { ...axis, size: 58, gap: 4, space: 28, ...(drawing.binary ? { splits: binarySplits } : {}), incrs: drawing.whole ? [1, 2, 5, 10, 20, 50, 100, 200, 500] : undefined, values: (u, all) => all.map((v) => v === 0 ? "0" : drawing.show(v)) },
      ],
      series: [{}, ...drawing.of.map(([, label], i) => ({ label, stroke: colour(strokes[i]), width: 1.5, spanGaps: false, points: { show: false }, fill: drawing.of.length === 1 ? colour(strokes[i]) + "1c" : undefined }))],
      hooks: { setCursor: [(u) => this.caption(p, u.cursor.idx)] },
    };
  }

  // caption shows the values where the cursor is, or the newest.
  caption(p, at) {
    const newest = this.data.at.length - 1;
    const i = at ?? newest;
    p.drawing.of.forEach(([column, label], n) => {
      const v = this.data[column]?.[i];
      put(p.values[n], label + " " + (v === undefined || v === null || p.drawing.gaps && v === 0 ? "-" : p.drawing.show(v)));
    });
  }

  // describe writes what the charts show, for those who cannot see them: every ten seconds.
  describe() {
    for (const p of this.plots) this.caption(p, p.plot.cursor.idx);
    if (Date.now() - (this.described || 0) < 10000) return;
    this.described = Date.now();
    for (const p of this.plots) {
      const said = p.drawing.of.map(([column, label]) => {
        const all = (this.data[column] || []).filter((v) => v !== null);
        if (all.length === 0) return label + ": nothing yet";
        return label + ": now " + (p.drawing.show(all[all.length - 1]) || "none") + ", at most " + (p.drawing.show(all.reduce((a, b) => Math.max(a, b), 0)) || "none");
      });
      p.box.setAttribute("aria-label", p.drawing.title + " in the last hour. " + said.join("; "));
    }
  }
}

// binarySplits are round numbers of bytes.
function binarySplits(u, axis, least, most) {
  let step = 1024;
  while (most / step > 4) step *= 2;
  const all = [];
  for (let v = 0; v <= most; v += step) all.push(v);
  return all;
}
