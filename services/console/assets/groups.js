// Groups of workloads: all of them with their members, demand and forecast, and one in full.

import { Spark } from "./chart.js";
import { h, reconcile, setAttr, setText } from "./dom.js";
import { duration, kpiName, number, quantity, setTime, timeNode } from "./format.js";
import { LEGEND, SubjectView, fact, heldText } from "./subject.js";
import { ResourcePanel, modelText } from "./workload.js";

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

export class GroupView extends SubjectView {
  constructor() {
    super({ href: "#/groups", name: "Groups", see: "See the groups" }, LEGEND.filter(([key]) => key !== "capacity" && key !== "envelope"));
    this.facts = { members: h("span", { title: SILENT }), made: timeNode(), model: h("span"), coverage: h("span") };
    const f = this.facts;
    this.fill(
      h("section", { class: "panel workload-head", "aria-label": "State" }, h("div", { class: "workload-title" }, this.title),
        h("dl", { class: "facts" }, fact("Members reported", f.members), fact("Forecast made", f.made), fact("Model", f.model), fact("90 % band held (15 min)", f.coverage))),
      this.controls, this.resources);
  }

  render() {
    const data = this.data;
    if (!data) return;
    this.choose(data);
    setText(this.title, data.id);
    const { members, made, model, coverage } = this.facts;
    setText(members, membersText(data));
    setTime(made, data.at_ms);
    const [first] = data.prediction.resources;
    setText(model, modelText(first));
    const interval = first.horizons.find((x) => x.horizon_s === 900)?.value_interval;
    setText(coverage, heldText(interval));
    setAttr(this.content, "data-group", data.id);
    const byKpi = new Map(data.series.map((series) => [series.kpi, series]));
    reconcile(this.resources, data.prediction.resources, (r) => r.resource, (r) => new ResourcePanel(r.resource).node, (node, r) => node.panel.update(this, data, byKpi.get(r.resource)));
  }
}
