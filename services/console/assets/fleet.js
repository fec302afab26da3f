// The fleet at a glance: totals, states, a sortable and filterable table, the latest actions.

import { actionLine } from "./actions.js";
import { Spark } from "./chart.js";
import { h, reconcile, setAttr, setText } from "./dom.js";
import { changeText, number, percent, platformName, quantity, setTime, timeNode, usedOf, worthText } from "./format.js";
import { LEVELS, VERDICTS, badge, glyph, setBadge } from "./status.js";

const PAGE = 200;
const share = (use) => (use?.capacity ? use.used / use.capacity : null);

const COLUMNS = [
  { key: "status", title: "State", sort: (r) => LEVELS[r.status]?.order ?? 9, first: 1 },
  { key: "id", title: "Workload", sort: (r) => r.id, first: 1 },
  { key: "cpu", title: "CPU", sort: (r) => share(r.cpu) ?? -1, first: -1 },
  { key: "memory", title: "Memory", sort: (r) => share(r.memory) ?? -1, first: -1 },
  { key: "spark", title: "CPU, recent", sort: null },
  { key: "forecast", title: "CPU peak within 15 min", sort: (r) => r.cpu?.forecast_median ?? -1, first: -1 },
  { key: "action", title: "Last action", sort: (r) => r.last_action?.decided_at_ms ?? -1, first: -1 },
];

export class FleetView {
  constructor() {
    this.sort = { key: "status", direction: 1 };
    this.levels = new Set();
    this.limit = PAGE;
    this.current = null;
    this.filter = h("input", { id: "filter", type: "search", placeholder: "Filter workloads", title: "Words of the name, platform, instance type or source", autocomplete: "off",
      spellcheck: "false", "aria-label": "Filter the fleet", "aria-keyshortcuts": "/", oninput: () => this.#refilter() });
    this.totals = h("dl", { class: "totals" });
    this.worth = h("p", { class: "worth muted", hidden: true });
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Show only these states" });
    this.count = h("span", { class: "muted count", role: "status" });
    this.heads = h("tr", { "aria-rowindex": "1" });
    this.body = h("tbody");
    this.table = h("table", { class: "fleet", role: "grid", "aria-label": "Fleet; arrow keys move, Enter opens", onkeydown: (e) => this.#key(e), onclick: (e) => this.#click(e), onfocusin: (e) => this.#focused(e) }, h("thead", {}, this.heads), this.body);
    this.more = h("button", { type: "button", class: "more", hidden: true, onclick: () => { this.limit += PAGE; this.render(); } });
    this.notice = h("p", { class: "notice", hidden: true });
    this.empty = emptyState();
    this.recent = h("ol", { class: "recent" });
    this.recentEmpty = h("p", { class: "muted pad", text: "No action yet. The planner publishes one when a forecast does not fit the capacity." });
    this.node = h("div", { class: "fleet-view" },
      h("h1", { class: "visually-hidden", text: "Fleet" }),
      h("section", { class: "panel summary", "aria-label": "Totals" }, this.totals, this.worth),
      h("section", { class: "panel fleet-panel", "aria-label": "Workloads" },
        h("div", { class: "toolbar" }, h("div", { class: "filter" }, this.filter, h("kbd", { text: "/", "aria-hidden": "true" })), this.chips, this.count),
        this.notice, h("div", { class: "scroll-x" }, this.table), this.empty, this.more),
      h("section", { class: "panel recent-panel", "aria-labelledby": "recent-title" },
        h("h2", { id: "recent-title" }, "Latest actions"), this.recent, this.recentEmpty));
    this.#heads();
  }

  /** `data`: {rows: Map, meta, actions, pipeline}. */
  update(data) {
    this.data = data;
    this.render();
  }

  focusFilter() {
    this.filter.focus();
    this.filter.select();
  }

  /** Clears the filter; false when there was nothing to clear. */
  clearFilter() {
    if (this.filter.value === "" && this.levels.size === 0) return false;
    this.filter.value = "";
    this.levels.clear();
    this.#refilter();
    return true;
  }

  /** Puts the focus on the row of `id`, or on the first. */
  focusRow(id) {
    const rows = [...this.body.rows];
    (rows.find((row) => row.dataset.id === id) ?? rows[0])?.focus();
  }

  #refilter() {
    this.limit = PAGE;
    this.render();
  }

  render() {
    if (!this.data) return;
    const all = [...this.data.rows.values()];
    const shown = this.#sorted(all.filter((row) => this.#matches(row)));
    this.#totals(all);
    this.#chips(all);
    const page = shown.slice(0, this.limit);
    if (!page.some((row) => row.id === this.current)) this.current = page[0]?.id ?? null;
    setAttr(this.table, "aria-rowcount", shown.length + 1);
    reconcile(this.body, page, (r) => r.id, (r) => makeRow(r), (node, r, index) => updateRow(node, r, index, r.id === this.current, this.data.meta.newest_ms));
    this.more.hidden = shown.length <= this.limit;
    setText(this.more, `Show ${Math.min(PAGE, shown.length - this.limit)} more of ${number(shown.length)}`);
    setText(this.count, shown.length === all.length ? `${number(all.length)} workloads` : `${number(shown.length)} of ${number(all.length)} workloads`);
    this.table.hidden = all.length === 0;
    this.empty.hidden = all.length !== 0;
    this.#notice();
    this.worth.hidden = !this.data.meta.worth;
    setText(this.worth, worthText(this.data.meta.worth));
    const actions = (this.data.actions ?? []).slice(0, 14);
    this.recentEmpty.hidden = actions.length !== 0;
    reconcile(this.recent, actions, (a) => a.id, () => actionLine.create(), (node, a) => actionLine.update(node, a, this.data.meta.newest_ms));
    for (const cell of this.heads.children) {
      const sorted = cell.dataset.key === this.sort.key ? (this.sort.direction === 1 ? "ascending" : "descending") : null;
      setAttr(cell, "aria-sort", sorted);
    }
  }

  #notice() {
    const { refused, evicted, workloads_max } = this.data.meta;
    const parts = [];
    if (refused > 0) parts.push(`The console keeps ${number(workloads_max)} workloads and leaves records of others out (${number(refused)} so far); raise [console] workloads_max to see them.`);
    if (evicted > 0) parts.push(`${number(evicted)} silent workloads made room for newer ones.`);
    this.notice.hidden = parts.length === 0;
    setText(this.notice, parts.join(" "));
  }

  #matches(row) {
    if (this.levels.size > 0 && !this.levels.has(row.status)) return false;
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const text = `${row.id} ${platformName(row.platform)} ${row.capacity?.instance_type ?? ""} ${row.source}`.toLowerCase();
    return words.every((word) => text.includes(word));
  }

  #sorted(rows) {
    const { key, direction } = this.sort;
    const of = COLUMNS.find((c) => c.key === key).sort;
    const keyed = rows.map((row) => [of(row), row]);
    const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
    keyed.sort(([a, x], [b, y]) => compare(a, b) * direction || x.id.localeCompare(y.id, undefined, { numeric: true }));
    return keyed.map(([, row]) => row);
  }

  #heads() {
    for (const column of COLUMNS) {
      const content = column.sort
        ? h("button", { type: "button", onclick: () => this.#sortBy(column) }, column.title, h("span", { class: "arrow", "aria-hidden": "true" }))
        : column.title;
      this.heads.append(h("th", { scope: "col", class: `col-${column.key}`, "data-key": column.key }, content));
    }
  }

  #sortBy(column) {
    const same = this.sort.key === column.key;
    this.sort = { key: column.key, direction: same ? -this.sort.direction : column.first };
    this.render();
  }

  #totals(rows) {
    const sum = (pick) => rows.reduce((total, row) => total + (pick(row) ?? 0), 0);
    const managed = (kind) => rows.filter((row) => row[kind]?.capacity);
    const used = (kind) => managed(kind).reduce((total, row) => total + (row[kind].used ?? 0), 0);
    const capacity = (kind) => sum((row) => row[kind]?.capacity);
    const hour = this.data.meta.newest_ms - 3_600_000;
    const recent = (this.data.actions ?? []).filter((a) => a.decided_at_ms > hour);
    const dead = this.data.pipeline?.dead_letters.reduce((total, d) => total + d.records, 0) ?? null;
    const entries = [
      { key: "CPU in use", text: usedOf(used("cpu"), capacity("cpu"), "cores"), bar: capacity("cpu") ? used("cpu") / capacity("cpu") : null },
      { key: "Memory in use", text: usedOf(used("memory"), capacity("memory"), "By"), bar: capacity("memory") ? used("memory") / capacity("memory") : null },
      { key: "Actions, last hour", text: recent.length < this.data.kept && recent.length === this.data.actions?.length ? `≥ ${number(recent.length)}` : number(recent.length), note: recent.length === 0 ? "" : countVerdicts(recent) },
      { key: "Dead letters", text: number(dead), note: dead > 0 ? "see Pipeline" : "" },
    ];
    reconcile(this.totals, entries, (e) => e.key, (e) => h("div", {}, h("dt", { text: e.key }), h("dd", {}, h("span", { class: "figure" }), h("span", { class: "note muted" }), bar())), (node, e) => {
      const [figure, note, gauge] = node.lastChild.children;
      setText(figure, e.text);
      setText(note, e.bar !== undefined ? percent(e.bar) : e.note);
      gauge.hidden = e.bar === undefined || e.bar === null;
      setBar(gauge, e.bar ?? 0, null);
    });
  }

  #chips(rows) {
    const counts = new Map();
    for (const row of rows) counts.set(row.status, (counts.get(row.status) ?? 0) + 1);
    const levels = Object.keys(LEVELS).filter((level) => counts.has(level) || this.levels.has(level));
    const toggle = (level) => {
      if (!this.levels.delete(level)) this.levels.add(level);
      this.#refilter();
    };
    reconcile(this.chips, levels, (l) => l, (l) => h("button", { type: "button", class: `chip ${l}`, onclick: () => toggle(l) }, glyph(LEVELS[l].path), h("span", { text: LEVELS[l].text }), h("span", { class: "chip-count" })), (node, l) => {
      setAttr(node, "aria-pressed", String(this.levels.has(l)));
      setText(node.lastChild, String(counts.get(l) ?? 0));
    });
  }

  #focused(event) {
    const row = event.target.closest("tbody tr");
    if (!row || row.dataset.id === this.current) return;
    this.current = row.dataset.id;
    for (const other of this.body.rows) setAttr(other, "tabindex", other === row ? "0" : "-1");
  }

  #click(event) {
    const row = event.target.closest("tbody tr");
    if (row && !event.target.closest("a") && !getSelection().toString()) open(row.dataset.id);
  }

  #key(event) {
    const row = event.target.closest("tbody tr");
    if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = [...this.body.rows];
    const at = rows.indexOf(row);
    const last = rows.length - 1;
    const goals = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 10, PageUp: at - 10, Home: 0, End: last };
    if (event.key in goals) {
      event.preventDefault();
      rows[Math.min(last, Math.max(0, goals[event.key]))].focus();
    } else if (event.key === "Enter") {
      event.preventDefault();
      open(row.dataset.id);
    }
  }
}

const linkTo = (id) => `#/workload/${encodeURIComponent(id)}`;
const open = (id) => { location.hash = linkTo(id); };

function countVerdicts(actions) {
  const counts = Object.keys(VERDICTS).map((v) => [VERDICTS[v].text.toLowerCase(), actions.filter((a) => a.verdict === v).length]);
  return counts.filter(([, n]) => n > 0).map(([name, n]) => `${n} ${name}`).join(", ");
}

function emptyState() {
  return h("div", { class: "empty", hidden: true },
    h("h2", { text: "No KPIs have arrived yet" }),
    h("p", {}, "The console shows what is on topic ", h("code", { text: "raw-kpis" }), ". ", h("code", { text: "prescale up" }),
      " starts a collector with this host and a generated fleet; elsewhere, start ", h("code", { text: "collector" }), " with the same ", h("code", { text: "[bus]" }), " settings as this console."),
    h("p", {}, "To see what the bus holds: ", h("code", { text: "prescale bus tail raw-kpis --limit 5" })));
}

/** A bar of utilisation with a tick where the forecast's upper bound is. */
function bar() {
  return h("span", { class: "bar" }, h("span", { class: "bar-fill" }), h("span", { class: "bar-tick" }));
}

function setBar(node, filled, tick) {
  const [fill, mark] = node.children;
  const width = `${Math.min(100, Math.max(0, filled * 100)).toFixed(1)}%`;
  if (fill.style.width !== width) fill.style.width = width;
  setAttr(fill, "data-level", filled > 1 ? "over" : filled > 0.85 ? "high" : null);
  mark.hidden = tick === null;
  const left = `${Math.min(100, Math.max(0, (tick ?? 0) * 100)).toFixed(1)}%`;
  if (tick !== null && mark.style.left !== left) mark.style.left = left;
}

function makeRow(row) {
  const spark = new Spark(132, 26);
  const node = h("tr", { "data-id": row.id, tabindex: "-1" },
    h("td", { class: "col-status" }, badge()),
    h("th", { scope: "row", class: "col-id" }, h("a", { href: linkTo(row.id), tabindex: "-1", text: row.id }), h("span", { class: "sub muted" })),
    h("td", { class: "col-cpu" }, useCell()),
    h("td", { class: "col-memory" }, useCell()),
    h("td", { class: "col-spark" }, spark.node),
    h("td", { class: "col-forecast num" }, h("span"), h("span", { class: "sub muted" })),
    h("td", { class: "col-action" }, h("span", { class: "action-cell" }, glyph(), h("span")), h("span", { class: "sub muted" }, timeNode(), h("span"))));
  node.spark = spark;
  return node;
}

function useCell() {
  return h("div", { class: "use" }, h("span", { class: "num" }), h("span", { class: "num share muted" }), bar());
}

function updateRow(node, row, index, isCurrent, newest_ms) {
  setAttr(node, "aria-rowindex", index + 2);
  setAttr(node, "tabindex", isCurrent ? "0" : "-1");
  if (node.row === row) return;
  node.row = row;
  const [status, name, cpu, memory, , forecast, action] = node.children;
  setBadge(status.firstChild, LEVELS, row.status, row.status_why);
  setText(name.lastChild, `${platformName(row.platform)}${row.capacity ? ` · ${row.capacity.replicas}\u00a0×\u00a0${row.capacity.instance_type ?? quantity(row.capacity.cpu_cores_per_replica, "cores")}` : ""}`);
  updateUse(cpu.firstChild, row.cpu, "cores");
  updateUse(memory.firstChild, row.memory, "By");
  node.spark.update(row.spark.values);
  setText(forecast.firstChild, quantity(row.cpu?.forecast_median, "cores"));
  setText(forecast.lastChild, row.cpu?.forecast_upper == null ? "no forecast yet" : `95\u00a0%: ≤ ${quantity(row.cpu.forecast_upper, "cores")}`);
  updateAction(action, row.last_action, newest_ms);
}

function updateUse(node, use, unit) {
  const [figure, part, gauge] = node.children;
  setText(figure, use ? usedOf(use.used, use.capacity, unit) : "–");
  const filled = share(use);
  setText(part, filled === null ? "" : percent(filled));
  setAttr(gauge, "class", filled === null ? "bar none" : "bar");
  setBar(gauge, filled ?? 0, use?.capacity && use.forecast_upper != null ? use.forecast_upper / use.capacity : null);
  setAttr(gauge, "title", use?.capacity && use.forecast_upper != null ? `mark: 95 % of forecast peaks within 15 min are below ${quantity(use.forecast_upper, unit)}` : null);
}

function updateAction(cell, action, newest_ms) {
  const [line, sub] = cell.children;
  setText(line.lastChild, action ? changeText(action.current, action.desired) : "–");
  setAttr(line, "class", `action-cell ${action?.verdict ?? "none"}`);
  setAttr(line.firstChild.firstChild, "d", action ? VERDICTS[action.verdict].path : "");
  sub.hidden = !action;
  if (!action) return;
  setTime(sub.firstChild, action.decided_at_ms, newest_ms);
  setText(sub.lastChild, ` · ${(action.result?.outcome ?? "no answer yet").replace("-", " ")}`);
}
