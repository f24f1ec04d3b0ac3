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
main { max-width: 1240px; margin: 0 auto; display: grid; gap: 10px;
  grid-template-columns: minmax(0, 1fr); }
header { display: flex; gap: 4px 14px; align-items: baseline; flex-wrap: wrap;
  margin-bottom: 4px; }
h1 { font-size: 20px; margin: 0; }
h2 { font-size: 13px; margin: 0 0 8px; color: var(--soft); font-weight: 600; }
header span, small, .none { color: var(--soft); }
.tiles { display: grid; gap: 10px; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); }
.pair { display: grid; gap: 10px;
  grid-template-columns: repeat(auto-fit, minmax(min(480px, 100%), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px; min-width: 0; }
.tile b { display: block; font-size: 24px; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; white-space: nowrap; color: var(--soft);
  font: 500 12px system-ui, sans-serif; }
th, td { padding: 3px 12px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child td { border-bottom: 0; }
td { overflow-wrap: break-word; }
.n { text-align: right; white-space: nowrap; }
.name { overflow-wrap: anywhere; min-width: 110px; }
.sql { overflow-wrap: anywhere; width: 45%; }
td.sql { font: 12px/1.45 ui-monospace, monospace; cursor: pointer; }
.parts { width: 90px; }
.bar { display: flex; height: 8px; border-radius: 4px; overflow: hidden; background: var(--line);
  min-width: 60px; margin-top: 6px; }
.bar i { display: block; }
.hit { background: var(--hit); } .miss { background: var(--miss); }
.bypass { background: var(--bypass); }
.key i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin: 0 4px 0 8px; }
.key span { white-space: nowrap; }
.bad { color: var(--bad); }
svg { width: 100%; height: 110px; display: block; }
#trouble { display: none; color: #fff; background: var(--bad); padding: 6px 12px;
  border-radius: 6px; }
/* Where a table has no room each row is a block of its own, each cell under its name. */
.stacked, .stacked tbody { display: block; }
.stacked tr { display: grid; gap: 4px 12px; padding: 7px 0; border-bottom: 1px solid var(--line);
  grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); }
.stacked tr:last-child { border-bottom: 0; padding-bottom: 0; }
.stacked tr.head { display: none; }
.stacked td { display: block; border: 0; padding: 0; text-align: left; white-space: normal; }
.stacked td::before { content: attr(data-name); display: block; color: var(--soft);
  font: 12px/1.45 system-ui, sans-serif; }
.stacked .name { grid-column: span 2; }
.stacked .sql, .stacked .name:first-child, .stacked .text, .stacked .parts {
  grid-column: 1 / -1; width: auto; }
.stacked .sql::before, .stacked .parts::before { display: none; }
.stacked .text.none { display: none; }
.stacked .bar { margin: 0; }
@media (max-width: 500px) {
  body { padding: 12px; }
  .tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  th, td { padding-right: 8px; }
}
</style>
</head>
<body>
<main>
<div id="trouble"></div>
<header><h1>pgrecall</h1><span id="about"></span><span id="fresh"></span></header>
<div class="tiles" id="tiles"></div>
<div class="pair">
  <div class="card"><h2 class="key">Reads per second <span><i class="hit"></i>hits</span>
    <span><i class="miss"></i>misses</span> <span><i class="bypass"></i>bypasses</span></h2>
    <svg id="chart" viewBox="0 0 600 110" preserveAspectRatio="none"></svg></div>
  <div class="card"><h2>Latency</h2><table id="latency"></table></div>
</div>
<div class="card"><h2>Top queries (a click shows the whole text)</h2>
  <table id="fingerprints" data-room="800"></table></div>
<div class="pair">
  <div class="card"><h2>Why reads bypass the cache</h2><table id="bypasses"></table></div>
  <div class="card"><h2>Tables</h2><table id="tables" data-room="440"></table></div>
</div>
<div class="pair">
  <div class="card"><h2>Pools</h2><table id="pools" data-room="440"></table></div>
  <div class="card"><h2>Pinned clients: each keeps its server connection</h2>
    <table id="pinned" data-room="440"></table></div>
</div>
<div class="pair">
  <div class="card"><h2>Control role</h2>
    <table id="control" data-room="440"></table></div>
  <div class="card"><h2>Redis</h2><table id="redis"></table></div>
</div>
</main>
<script>
"use strict";
const kSeconds = 2, kPoints = 60, kSqlShown = 220;
const el = id => document.getElementById(id);
const number = n => n >= 1e9 ? (n / 1e9).toFixed(1) + "G" : n >= 1e6 ? (n / 1e6).toFixed(1) + "M"
  : n >= 1e4 ? (n / 1e3).toFixed(1) + "k" : String(Math.round(n));
const bytes = n => n >= 1073741824 ? (n / 1073741824).toFixed(1) + " GB"
  : n >= 1048576 ? (n / 1048576).toFixed(1) + " MB" : (n / 1024).toFixed(0) + " KB";
const sum = o => Object.values(o).reduce((a, b) => a + b, 0);
const words = name => name.replaceAll("_", " ");
// What nothing was measured for is "-", never a zero; a measured zero is one.
const share = (part, whole) => !(whole > 0) ? "-" : !(part > 0) ? "0 %"
  : part < whole / 2000 ? "< 0.1 %" : (100 * part / whole).toFixed(1) + " %";
const digits = n => n >= 100 ? n.toFixed(0) : n >= 10 ? n.toFixed(1) : n.toFixed(2);
const micros = us => !(us > 0) ? "-" : us >= 1e6 ? digits(us / 1e6) + " s"
  : us >= 1e3 ? digits(us / 1e3) + " ms" : digits(us) + " us";
const seconds = s => !(s > 0) ? "-" : s >= 7200 ? (s / 3600).toFixed(1) + " h"
  : s >= 120 ? (s / 60).toFixed(1) + " min" : s >= 10 ? s.toFixed(0) + " s" : s.toFixed(2) + " s";
const age = s => s >= 86400 ? Math.floor(s / 86400) + " d " + Math.floor(s / 3600 % 24) + " h"
  : s >= 3600 ? Math.floor(s / 3600) + " h " + Math.floor(s / 60 % 60) + " min"
  : s >= 60 ? Math.floor(s / 60) + " min" : Math.floor(s) + " s";

function make(tag, text, kind) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (kind) node.className = kind;
  return node;
}
// Columns are [name, kind]: "n" a number, "name", "text" that may be long, "sql", "parts" a bar.
// `whole`: how many rows there are, those that the answer leaves out included.
function fill(id, columns, rows, nothing, whole) {
  const table = el(id), body = make("tbody");
  table.replaceChildren(body);
  if (rows.length === 0) {
    const line = make("tr");
    line.append(make("td", nothing || "nothing yet", "none"));
    body.append(line);
    return;
  }
  const head = make("tr", undefined, "head");
  columns.forEach(([name, kind]) => head.append(make("th", name, kind)));
  if (columns.some(([name]) => name !== "")) body.append(head);
  for (const row of rows) {
    const line = make("tr");
    row.forEach((cell, i) => {
      const [name, kind] = columns[i], empty = cell === "" ? " none" : "";
      const td = make("td", cell instanceof Node ? undefined : cell, (kind || "") + empty);
      td.dataset.name = name;
      if (cell instanceof Node) td.append(cell);
      line.append(td);
    });
    body.append(line);
  }
  if (whole > rows.length) {
    const line = make("tr"), more = whole - rows.length;
    const cell = make("td", "and " + number(more) + " more", "none");
    cell.colSpan = columns.length;
    line.append(cell);
    body.append(line);
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
// Long lists of columns hide what tells queries apart; a click shows the whole text.
const opened = new Set();
function query(f) {
  const text = f.sql || f.fingerprint, node = make("span");
  const short = text.replace(/^(select .{10,80}?,)[^]{60,}?( from )/i, "$1 ...$2");
  const cut = short.length > kSqlShown ? short.slice(0, kSqlShown) + " ..." : short;
  const show = () => { node.textContent = opened.has(f.fingerprint) ? text : cut; };
  node.onclick = () => {
    if (!opened.delete(f.fingerprint)) opened.add(f.fingerprint);
    show();
  };
  show();
  return node;
}
function state(text, good) { return make("span", text, good ? "" : "bad"); }

function tiles(s, rate) {
  const list = [
    ["of all reads are hits", share(s.hits, s.reads), number(s.reads) + " reads"],
    ["of cacheable reads are hits", share(s.hits, s.hits + s.misses),
     number(s.misses) + " misses"],
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

const room = new ResizeObserver(entries => entries.forEach(({ target }) => {
  const table = target.querySelector("[data-room]");
  table.classList.toggle("stacked", target.clientWidth < Number(table.dataset.room));
}));
document.querySelectorAll("[data-room]").forEach(table => room.observe(table.parentNode));

const history = [];
function chart() {
  const svg = el("chart"), most = Math.max(1, ...history.map(p => p.hits + p.misses + p.bypasses));
  const y = v => 108 - 104 * v / most;
  const x = i => 600 * (i + kPoints - history.length) / (kPoints - 1);
  svg.replaceChildren();
  const layers = [["bypass", p => p.hits + p.misses + p.bypasses], ["miss", p => p.hits + p.misses],
                  ["hit", p => p.hits]];
  for (const [kind, value] of layers) {
    if (history.length < 2) break;
    const points = history.map((p, i) => x(i).toFixed(1) + "," + y(value(p)).toFixed(1));
    const area = document.createElementNS("http://www.w3.org/2000/svg", "polygon");
    area.setAttribute("points", x(0).toFixed(1) + ",108 " + points.join(" ") + " 600,108");
    area.style.fill = "var(--" + kind + ")";
    svg.append(area);
  }
}
function breaker(r) {
  if (!r.configured) return [["state", "not configured: results live in this process alone"]];
  const since = age(r.state_seconds), meaning = { closed: "in use for " + since,
    open: "bypassed for " + since + ", until the next try",
    "half-open": "bypassed for " + since + ", being tried" }[r.state] || r.state;
  const rows = [
    ["state", state(meaning + " (breaker " + r.state + ")", r.state === "closed")],
    ["look-ups", number(r.gets) + ", of these hits " + share(r.hits, r.gets)],
    ["results put there", number(r.puts)],
    ["an answer takes", "p50 " + micros(r.round_trip.p50_us) + ", p99 "
     + micros(r.round_trip.p99_us)],
    ["not waited for", number(r.unawaited)],
    ["time-outs", number(r.timeouts)],
    ["errors", number(r.errors)],
  ];
  if (r.last_error) rows.push(["last error", r.last_error]);
  return rows;
}
function tables(s) {
  const reasons = Object.entries(s.bypasses).sort((a, b) => b[1] - a[1]);
  fill("bypasses", [["Reason", "name"], ["Reads", "n"], ["Of all reads", "n"]],
       reasons.map(([name, n]) => [words(name), number(n), share(n, s.reads)]), "no read does");
  fill("pools", [["Database", "name"], ["User", "name"], ["Active", "n"], ["Idle", "n"],
                 ["Size", "n"], ["Pinned", "n"], ["Waiting", "n"]],
       s.pools.map(p => [p.database, p.user, p.active, p.idle, p.size, p.pinned, p.waiting]),
       "nothing yet", s.rows.pools);
  fill("pinned", [["User", "name"], ["Database", "name"], ["For", "n"], ["Why", "text"]],
       s.pinned.map(p => [p.user, p.database, age(p.seconds), words(p.why)]), "nobody is pinned",
       s.rows.pinned);
  fill("latency", [["", ""], ["p50", "n"], ["p90", "n"], ["p99", "n"], ["p99.9", "n"]],
       [["hit", "hit"], ["miss", "miss"], ["PostgreSQL", "origin"]].map(([name, key]) => {
         const l = s.latency[key];
         return [name, micros(l.p50_us), micros(l.p90_us), micros(l.p99_us), micros(l.p999_us)];
       }));
  fill("fingerprints", [["Query", "sql"], ["", "parts"], ["Calls", "n"], ["Hits", "n"],
                        ["Saved", "n"], ["p50", "n"], ["p99", "n"], ["Why not", "text"]],
       s.fingerprints.map(f => {
         const bypassed = sum(f.bypasses), why = Object.keys(f.bypasses).map(words).join(", ");
         return [query(f), bar(f.hits, f.misses, bypassed), number(f.calls),
                 share(f.hits, f.calls), seconds(f.time_saved_seconds),
                 micros(1e3 * f.origin_p50_ms), micros(1e3 * f.origin_p99_ms),
                 why || (f.last_invalidator ? "last invalidated by " + f.last_invalidator : "")];
       }), "nothing yet", s.rows.fingerprints);
  fill("tables", [["Table", "name"], ["", "parts"], ["Reads", "n"], ["Writes", "n"],
                  ["Invalidations", "n"]],
       s.tables.map(t => [t.table, bar(t.hits, t.misses, t.reads - t.hits - t.misses),
                          number(t.reads), number(t.writes), number(t.invalidations)]),
       "nothing yet", s.rows.tables);
  fill("control", [["Database", "name"], ["Control role", ""], ["Why", "text"]],
       s.control.map(c => [
         c.database, state(c.connected ? "connected" : "not connected", c.connected), c.error]),
       "nothing yet", s.rows.control);
  fill("redis", [["", ""], ["", "text"]], breaker(s.redis));
}

let last = null;
function show(s) {
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
  el("about").textContent = "version " + s.version + ", up " + age(s.uptime_seconds)
    + ", cache " + s.cache.mode;
  el("fresh").textContent = s.freshness.feed === "none"
    ? "No change feed: writes past pgrecall are seen within "
      + age(s.freshness.max_age_without_feed_s) + "."
    : "Change feed: " + s.freshness.feed + ".";
  el("fresh").title = s.freshness.why;
  tiles(s, rate);
  chart();
  tables(s);
}
function say(text) {
  el("trouble").textContent = text;
  el("trouble").style.display = text ? "block" : "none";
}
async function refresh() {
  let answer, s;
  try {
    answer = await fetch("api/stats?top=25", { cache: "no-store" });
    s = answer.ok ? await answer.json() : null;
  } catch (error) {
    return say("No answer from the admin port; the numbers below are old.");
  }
  if (!s) return say("The admin port answered with status " + answer.status
                     + "; the numbers below are old.");
  try {
    show(s);
    say("");
  } catch (error) {
    say("The admin port answers, but this page cannot show it (reload the page): " + error);
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
