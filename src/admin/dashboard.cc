#include "admin/render.h"

namespace pgrecall::admin {
namespace {

// One page without any foreign asset. Names and SQL shapes come from clients, so they are only ever
// set as textContent, never as markup.
constexpr std::string_view kPage = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pgrecall</title>
<style>
:root { --back: #f6f7f9; --card: #fff; --ink: #1c2330; --soft: #667085; --line: #e4e7ec;
  --hit: #0f9d72; --miss: #e08a1e; --bypass: #8a94a6; --bad: #c8372d; }
@media (prefers-color-scheme: dark) { :root { --back: #12151b; --card: #1b2029; --ink: #e6e9ef;
  --soft: #98a2b3; --line: #2b323e; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 20px; background: var(--back); color: var(--ink);
  font: 14px/1.45 system-ui, sans-serif; }
main { max-width: 1240px; margin: 0 auto; }
header { display: flex; gap: 14px; align-items: baseline; flex-wrap: wrap; margin-bottom: 14px; }
h1 { font-size: 20px; margin: 0; }
h2 { font-size: 13px; margin: 0 0 8px; color: var(--soft); font-weight: 600; }
header span { color: var(--soft); }
.tiles { display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 12px;
  margin-bottom: 10px; overflow-x: auto; }
.tiles .card { margin: 0; }
.tile b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; }
.tile small { color: var(--soft); }
.pair { display: grid; gap: 10px; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr));
  margin-top: 10px; }
.pair .card { margin: 0 0 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: 12px; }
th, td { padding: 3px 10px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
.n { text-align: right; white-space: nowrap; }
.sql { font-family: ui-monospace, monospace; font-size: 12px; word-break: break-word;
  max-width: 620px; }
.bar { display: flex; height: 8px; border-radius: 4px; overflow: hidden; background: var(--line);
  min-width: 90px; margin-top: 5px; }
.bar i { display: block; }
.hit { background: var(--hit); } .miss { background: var(--miss); }
.bypass { background: var(--bypass); }
.bad { color: var(--bad); }
svg { width: 100%; height: 90px; display: block; }
#offline { display: none; color: #fff; background: var(--bad); padding: 6px 12px;
  border-radius: 6px; margin-bottom: 10px; }
</style>
</head>
<body>
<main>
<div id="offline">No answer from the admin port; the numbers below are old.</div>
<header><h1>pgrecall</h1><span id="about"></span><span id="fresh"></span></header>
<div class="tiles" id="tiles"></div>
<div class="pair">
  <div class="card"><h2>Reads per second: hits, misses, bypasses</h2><svg id="chart"
    viewBox="0 0 600 90" preserveAspectRatio="none"></svg></div>
  <div class="card"><h2>Latency</h2><table id="latency"></table></div>
</div>
<div class="pair">
  <div class="card"><h2>Why reads bypass the cache</h2><table id="bypasses"></table></div>
  <div class="card"><h2>Pools</h2><table id="pools"></table></div>
</div>
<div class="card" style="margin-top:10px"><h2>Top queries</h2>
  <table id="fingerprints"></table></div>
<div class="pair">
  <div class="card"><h2>Tables</h2><table id="tables"></table></div>
  <div class="card"><h2>Control role and change feed</h2><table id="control"></table></div>
</div>
</main>
<script>
"use strict";
const kSeconds = 2, kPoints = 60;
const el = id => document.getElementById(id);
const number = n => n >= 1e9 ? (n / 1e9).toFixed(1) + "G" : n >= 1e6 ? (n / 1e6).toFixed(1) + "M"
  : n >= 1e4 ? (n / 1e3).toFixed(1) + "k" : String(Math.round(n));
const bytes = n => n >= 1073741824 ? (n / 1073741824).toFixed(1) + " GB"
  : n >= 1048576 ? (n / 1048576).toFixed(1) + " MB" : (n / 1024).toFixed(0) + " KB";
const percent = x => (100 * x).toFixed(1) + " %";
const micros = us => us >= 1000 ? (us / 1000).toFixed(2) + " ms" : us.toFixed(1) + " us";
const sum = o => Object.values(o).reduce((a, b) => a + b, 0);

function make(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}
function fill(id, head, rows) {
  const table = el(id);
  table.replaceChildren();
  if (rows.length === 0) { table.append(make("caption", "nothing yet")); return; }
  const top = make("tr");
  head.forEach(h => top.append(make("th", h.replace(/^#/, ""), h[0] === "#" ? "n" : "")));
  table.append(top);
  for (const row of rows) {
    const line = make("tr");
    row.forEach((cell, i) => {
      const kind = head[i][0] === "#" ? "n" : head[i] === "Query" ? "sql" : "";
      const td = make("td", cell instanceof Node ? undefined : cell, kind);
      if (cell instanceof Node) td.append(cell);
      line.append(td);
    });
    table.append(line);
  }
}
function bar(hits, misses, bypasses) {
  const whole = Math.max(1, hits + misses + bypasses), node = make("div", undefined, "bar");
  for (const [kind, part] of [["hit", hits], ["miss", misses], ["bypass", bypasses]]) {
    const piece = make("i", undefined, kind);
    piece.style.width = 100 * part / whole + "%";
    node.append(piece);
  }
  return node;
}
function tiles(s, rate) {
  const list = [
    ["of all reads are hits", percent(s.read_hit_rate), number(s.reads) + " reads"],
    ["of cacheable reads are hits", percent(s.hit_rate), number(s.misses) + " misses"],
    ["hits per second", rate ? number(rate.hits) : "-", number(s.hits) + " in total"],
    ["queries per second to servers", rate ? number(rate.queries) : "-",
     number(s.server_queries) + " in total"],
    ["clients", number(s.clients), number(s.clients_total) + " ever"],
    ["results kept", number(s.cache.entries), bytes(s.cache.bytes) + " of "
     + bytes(s.cache.bytes_max)],
    ["writes", number(s.writes), number(s.invalidations) + " invalidations"],
  ];
  el("tiles").replaceChildren(...list.map(([name, value, more]) => {
    const card = make("div", undefined, "card tile");
    card.append(make("b", value), make("span", name), make("br"), make("small", more));
    return card;
  }));
}

const history = [];
function chart() {
  const svg = el("chart"), most = Math.max(1, ...history.map(p => p.hits + p.misses + p.bypasses));
  const y = v => 88 - 84 * v / most, x = i => 600 * (i + kPoints - history.length) / (kPoints - 1);
  svg.replaceChildren();
  const layers = [["bypass", p => p.hits + p.misses + p.bypasses], ["miss", p => p.hits + p.misses],
                  ["hit", p => p.hits]];
  for (const [kind, value] of layers) {
    if (history.length < 2) break;
    const points = history.map((p, i) => x(i).toFixed(1) + "," + y(value(p)).toFixed(1));
    const area = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    area.setAttribute("points", x(0).toFixed(1) + ",88 " + points.join(" ") + " 600,88");
    area.style.fill = "var(--" + kind + ")";
    svg.append(area);
  }
}
function tables(s) {
  const reasons = Object.entries(s.bypasses).sort((a, b) => b[1] - a[1]);
  fill("bypasses", ["Reason", "#Reads", "#Share"],
       reasons.map(([name, n]) => [name.replaceAll("_", " "), number(n),
                                   percent(n / Math.max(1, s.reads))]));
  fill("pools", ["Database", "User", "#Active", "#Idle", "#Size", "#Pinned", "#Waiting"],
       s.pools.map(p => [p.database, p.user, p.active, p.idle, p.size, p.pinned, p.waiting]));
  fill("latency", ["", "#p50", "#p90", "#p99", "#p99.9"],
       [["hit", "hit"], ["miss", "miss"], ["PostgreSQL", "origin"]].map(([name, key]) => {
         const l = s.latency[key];
         return l.count === 0 ? [name, "-", "-", "-", "-"]
           : [name, micros(l.p50_us), micros(l.p90_us), micros(l.p99_us), micros(l.p999_us)];
       }));
  fill("fingerprints", ["Query", "", "#Calls", "#Hits", "#Saved", "#p50", "#p99", "Why not"],
       s.fingerprints.map(f => {
         const bypassed = sum(f.bypasses);
         const why = Object.keys(f.bypasses).join(", ").replaceAll("_", " ");
         return [f.sql || f.fingerprint, bar(f.hits, f.misses, bypassed), number(f.calls),
                 percent(f.hits / Math.max(1, f.calls)), f.time_saved_seconds.toFixed(1) + " s",
                 f.origin_p50_ms.toFixed(1) + " ms", f.origin_p99_ms.toFixed(1) + " ms",
                 why || (f.last_invalidator ? "last invalidated by " + f.last_invalidator : "")];
       }));
  fill("tables", ["Table", "", "#Reads", "#Writes", "#Invalidations"],
       s.tables.map(t => [t.table, bar(t.hits, t.misses, t.reads - t.hits - t.misses),
                          number(t.reads), number(t.writes), number(t.invalidations)]));
  const feeds = Object.fromEntries(s.feeds.map(f => [f.database, f]));
  fill("control", ["Database", "Control role", "Feed", "#Lag", "Why"], s.control.map(c => {
    const f = feeds[c.database] || { kind: "none", state: "none", why: "", lag_ms: null };
    return [c.database, make("span", c.connected ? "connected" : "not connected",
                             c.connected ? "" : "bad"),
            f.kind + " (" + f.state + ")", f.lag_ms === null ? "-" : f.lag_ms + " ms",
            c.error || f.why];
  }));
}

let last = null;
async function refresh() {
  try {
    const answer = await fetch("api/stats?top=25", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const s = await answer.json();
    let rate = null;
    if (last && s.uptime_seconds > last.uptime_seconds) {
      const dt = s.uptime_seconds - last.uptime_seconds;
      const per = key => Math.max(0, (s[key] - last[key]) / dt);
      rate = { hits: per("hits"), misses: per("misses"), bypasses: per("bypasses_total"),
               queries: per("server_queries") };
      history.push(rate);
      if (history.length > kPoints) history.shift();
    }
    last = s;
    el("offline").style.display = "none";
    el("about").textContent = "version " + s.version + ", up "
      + Math.floor(s.uptime_seconds / 3600) + " h " + Math.floor(s.uptime_seconds / 60 % 60)
      + " min, cache " + s.cache.mode;
    el("fresh").textContent = s.freshness.feed === "none"
      ? "no change feed: entries live at most " + s.freshness.max_age_without_feed_s + " s. "
        + s.freshness.why
      : "change feed: " + s.freshness.feed;
    tiles(s, rate);
    chart();
    tables(s);
  } catch (error) {
    el("offline").style.display = "block";
  }
}
refresh();
setInterval(refresh, kSeconds * 1000);
</script>
</body>
</html>
)html";

}  // namespace

std::string_view dashboard_html() {
  return kPage;
}

}  // namespace pgrecall::admin
