// Groups of workloads: all of them with their members, demand and forecast, and one in full.

import { Spark } from "./chart.js";
import { h, reconcile, setAttr, setText } from "./dom.js";
import { duration, kpiName, number, percent, quantity, setTime, timeNode } from "./format.js";
import { KINDS, LEGEND, RANGES, ResourcePanel, fact, hoursKept, modelText, segmented } from "./workload.js";

const linkTo = (id) => `#/group/${encodeURIComponent(id)}`;
const membersText = ({ reported, known }) => `${number(reported)} of ${number(known)}`;
const SILENT = "Members that are silent count with their last forecast for a while";

export class GroupsView {
  constructor() {
    this.peak = h("th", { scope: "col" });
    this.body = h("tbody");
    this.table = h("div", { class: "scroll-x" }, h("table", { class: "plain groups" },
      h("thead", {}, h("tr", {}, ...["Group", "Members reported", "Resource", "Demand"].map((t) => h("th", { scope: "col", text: t })), this.peak, ...["5 – 95 %", "Recent", "Forecast made"].map((t) => h("th", { scope: "col", text: t })))), this.body));
    this.empty = h("div", { class: "empty", hidden: true }, h("h2", { text: "No group has a forecast yet" }),
      h("p", {}, "A group is a section of its own: ", h("code", { text: "[grouper.groups.NAME]" }), " with the patterns of its ", h("code", { text: "workloads" }), ". Its first forecast comes half an hour after its first members."));
    this.node = h("div", { class: "stack" }, h("section", { class: "panel", "aria-labelledby": "groups-title" }, h("h1", { id: "groups-title", text: "Groups" }), this.table, this.empty));
  }

  update({ groups, lookahead_s, newest_ms }) {
    this.table.hidden = groups.length === 0;
    this.empty.hidden = groups.length !== 0;
    setText(this.peak, `Peak within ${duration(lookahead_s)}`);
    const rows = groups.flatMap((group) => group.resources.map((resource) => ({ group, ...resource })));
    reconcile(this.body, rows, (r) => `${r.group.id} ${r.resource}`, makeRow, (node, r) => updateRow(node, r, newest_ms));
  }
}

function makeRow(row) {
  const spark = new Spark(132, 26);
  const node = h("tr", { "data-group": row.group.id, "data-resource": row.resource },
    h("th", { scope: "row" }, h("a", { href: linkTo(row.group.id), text: row.group.id })),
    h("td", { class: "num", title: SILENT }), h("td"), h("td", { class: "num" }), h("td", { class: "num" }), h("td", { class: "num" }), h("td", {}, spark.node), h("td", {}, timeNode()));
  node.spark = spark;
  return node;
}

function updateRow(node, row, newest_ms) {
  const texts = [membersText(row.group), kpiName(row.resource), quantity(row.last, row.unit), quantity(row.peak_median, row.unit), `${quantity(row.peak_lower, row.unit)} – ${quantity(row.peak_upper, row.unit)}`];
  texts.forEach((text, i) => setText(node.children[i + 1], text));
  node.spark.update(row.spark);
  setTime(node.children[7].firstChild, row.group.made_at_ms, newest_ms);
}

export class GroupView {
  constructor() {
    this.kind = "value";
    this.picked = null;
    this.title = h("h1");
    this.facts = { members: h("span", { title: SILENT }), made: timeNode(), model: h("span"), coverage: h("span") };
    this.kinds = segmented("Forecast shown", KINDS, (v) => { this.kind = v; this.render(); });
    this.ranges = segmented("History shown", RANGES, (v) => { this.picked = v; this.render(); });
    this.resources = h("div", { class: "resources" });
    this.missing = h("div", { class: "panel empty", hidden: true });
    const f = this.facts;
    const legend = LEGEND.filter(([key]) => key !== "capacity" && key !== "envelope");
    this.content = h("div", { class: "stack" },
      h("section", { class: "panel workload-head", "aria-label": "State" }, h("div", { class: "workload-title" }, this.title),
        h("dl", { class: "facts" }, fact("Members reported", f.members), fact("Forecast made", f.made), fact("Model", f.model), fact("90 % band held (15 min)", f.coverage))),
      h("div", { class: "controls" }, this.kinds.node, this.ranges.node, h("ul", { class: "legend", "aria-label": "Legend" }, ...legend.map(([key, text]) => h("li", {}, h("span", { class: `swatch ${key}`, "aria-hidden": "true" }), text)))),
      this.resources);
    this.node = h("div", {}, h("p", { class: "crumbs" }, h("a", { href: "#/groups", text: "← Groups" }), h("kbd", { text: "Esc", "aria-hidden": "true" })), this.missing, this.content);
  }

  /** Shows that `id` is unknown, with the server's words. */
  showMissing(id, why) {
    this.content.hidden = true;
    this.missing.hidden = false;
    this.missing.replaceChildren(h("h1", { text: id }), h("p", { text: why }), h("p", {}, h("a", { href: "#/groups", text: "See the groups" })));
  }

  update(data) {
    this.data = data;
    this.content.hidden = false;
    this.missing.hidden = true;
    this.render();
  }

  render() {
    const data = this.data;
    if (!data) return;
    this.kinds.set(this.kind);
    this.hours = this.picked ?? hoursKept(data);
    this.ranges.set(this.hours);
    setText(this.title, data.id);
    const { members, made, model, coverage } = this.facts;
    setText(members, membersText(data));
    setTime(made, data.at_ms);
    const [first] = data.prediction.resources;
    setText(model, modelText(first));
    const interval = first.horizons.find((x) => x.horizon_s === 900)?.value_interval;
    setText(coverage, interval?.trailing_coverage == null ? "not scored yet" : `${percent(interval.trailing_coverage, 1)} of ${number(interval.scored)}`);
    setAttr(this.content, "data-group", data.id);
    const byKpi = new Map(data.series.map((series) => [series.kpi, series]));
    reconcile(this.resources, data.prediction.resources, (r) => r.resource, (r) => new ResourcePanel(r.resource).node, (node, r) => node.panel.update(this, data, byKpi.get(r.resource)));
  }
}
