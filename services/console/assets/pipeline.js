// The pipeline: the strip in the header and the page with each stage, reader and dead letter queue.

import { h, reconcile, setAttr, setText } from "./dom.js";
import { number, setTime, timeNode } from "./format.js";
import { OrdersPanel } from "./orders.js";

const rate = (per_s) => (per_s === null || per_s === undefined ? "–" : `${number(per_s)}/s`);

function stateOf(stage) {
  if (stage.error) return { key: "error", text: "unknown" };
  if (stage.lag === 0) return { key: "even", text: "lag 0" };
  return { key: "behind", text: `lag ${number(stage.lag)}` };
}

/** Brings the header's strip up to date. */
export function updateStrip(strip, stages) {
  reconcile(strip, stages, (st) => st.stage, (st) => h("li", {}, h("span", { class: "stage", text: st.stage }), h("span", { class: "stage-lag num" }), h("span", { class: "stage-rate num muted" })), (node, st) => {
    const state = stateOf(st);
    setAttr(node, "class", state.key);
    setText(node.children[1], state.text);
    setText(node.children[2], rate(st.records_per_s));
    setAttr(node, "title", st.error ?? `${st.stage} reads ${st.topic} as group ${st.group}`);
  });
}

const STAGES = ["Stage", "Reads", "Group", "Lag", "Records/s", "Position", "End", ""];
const READERS = ["Topic", "Read by the console", "Undecodable", "Left out", "State"];
const LETTERS = ["Queue", "Records", "Latest rejections"];

function table(caption, columns, name = "") {
  const body = h("tbody");
  const node = h("section", { class: "panel" }, h("h2", { text: caption }),
    h("div", { class: "scroll-x" }, h("table", { class: `plain ${name}` }, h("thead", {}, h("tr", {}, ...columns.map((c) => h("th", { scope: "col", text: c })))), body)));
  return { node, body };
}

const row = (cells) => h("tr", {}, h("th", { scope: "row" }), ...Array.from({ length: cells - 1 }, () => h("td", { class: "num" })));

export class PipelineView {
  constructor() {
    this.orders = new OrdersPanel();
    this.stages = table("Stages", STAGES, "stages");
    this.readers = table("What this console has read", READERS);
    this.letters = table("Dead letters", LETTERS, "letters-table");
    this.kept = h("p", { class: "muted pad" });
    this.readers.node.append(this.kept);
    this.node = h("div", { class: "stack" }, h("h1", { class: "visually-hidden", text: "Pipeline" }), this.orders.node, this.stages.node, this.letters.node, this.readers.node);
  }

  update(pipeline, orders, newest_ms) {
    this.orders.update(orders, newest_ms);
    reconcile(this.stages.body, pipeline.stages, (st) => st.stage, () => row(STAGES.length), (node, st) => {
      const texts = [st.stage, st.topic, st.group, st.error ? "–" : number(st.lag), rate(st.records_per_s), number(st.position), number(st.end), st.error ?? ""];
      texts.forEach((text, i) => setText(node.children[i], text));
      setAttr(node, "class", stateOf(st).key);
    });
    reconcile(this.readers.body, pipeline.readers, (r) => r.topic, () => row(READERS.length), (node, r) => {
      const state = r.error ?? (r.caught_up ? "at the end" : "reading");
      [r.topic, number(r.records), number(r.undecodable), number(r.left_out), state].forEach((text, i) => setText(node.children[i], text));
    });
    reconcile(this.letters.body, pipeline.dead_letters, (d) => d.topic, () => h("tr", {}, h("th", { scope: "row" }), h("td", { class: "num" }), h("td", {}, h("ul", { class: "letters" }))), (node, d) => {
      setText(node.children[0], d.topic);
      setText(node.children[1], number(d.records));
      reconcile(node.children[2].firstChild, d.latest, (l) => `${l.partition}@${l.offset}`, () => h("li", {}, timeNode(), h("span", { class: "letter-key" }), h("span")), (item, l) => {
        setTime(item.children[0], l.at_ms, newest_ms);
        setText(item.children[1], l.key);
        setText(item.children[2], l.why);
      });
    });
    setText(this.kept, `In memory: ${number(pipeline.kept.workloads)} of at most ${number(pipeline.kept.workloads_max)} workloads, ${number(pipeline.kept.points)} points (${number(pipeline.kept.points_per_series)} a KPI at most), the last 24 h.`);
  }
}
