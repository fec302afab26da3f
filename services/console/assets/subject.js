// What a page about one workload and one about one group have alike: the choice of forecast and history, a panel for each
// resource, and what is shown where nobody knows the subject.

import { h, setAttr } from "./dom.js";
import { number, percent } from "./format.js";

export const HOUR = 3_600_000;
export const RANGES = [[1, "1 h"], [3, "3 h"], [6, "6 h"], [24, "24 h"]];
export const LEGEND = [["line", "Demand (mean)"], ["envelope", "least to most"], ["band90", "90 % band"], ["band50", "50 % band"], ["median", "Forecast median"], ["trail", "What was forecast"], ["capacity", "Capacity"]];
export const KINDS = [["value", "Demand at"], ["maximum", "Peak within"]];

/** Buttons of which one is pressed. */
export function segmented(label, options, onpick) {
  const buttons = options.map(([value, text]) => h("button", { type: "button", "data-value": value, text, onclick: () => onpick(value) }));
  const node = h("div", { class: "segmented", role: "group", "aria-label": label }, ...buttons);
  return { node, set: (value) => buttons.forEach((b) => setAttr(b, "aria-pressed", String(b.dataset.value === String(value)))) };
}

/** The least range that shows all history, up to six hours. */
export function hoursKept(data) {
  const first = Math.min(...data.series.flatMap((series) => (series.points.length ? [series.points[0][0]] : [])));
  return RANGES.map(([hours]) => hours).find((hours) => hours >= 6 || data.at_ms - first <= hours * HOUR * 1.05) ?? 6;
}

export const fact = (name, node) => h("div", {}, h("dt", { text: name }), h("dd", {}, node));

/** How well an interval has held lately. */
export const heldText = (interval) => (interval?.trailing_coverage == null ? "not scored yet" : `${percent(interval.trailing_coverage, 1)} of ${number(interval.scored)}`);

/** A page about one subject. Who extends it calls `fill` once, and has `render`. */
export class SubjectView {
  /** `list` is where all subjects are: its `href`, its `name`, and how to `see` it. */
  constructor(list, legend) {
    this.kind = "value";
    this.picked = null;
    this.list = list;
    this.title = h("h1");
    this.kinds = segmented("Forecast shown", KINDS, (v) => { this.kind = v; this.render(); });
    this.ranges = segmented("History shown", RANGES, (v) => { this.picked = v; this.render(); });
    this.controls = h("div", { class: "controls" }, this.kinds.node, this.ranges.node, h("ul", { class: "legend", "aria-label": "Legend" }, ...legend.map(([key, text]) => h("li", {}, h("span", { class: `swatch ${key}`, "aria-hidden": "true" }), text))));
    this.resources = h("div", { class: "resources" });
    this.missing = h("div", { class: "panel empty", hidden: true });
  }

  /** Makes the page of what it shows. */
  fill(...parts) {
    const { href, name } = this.list;
    this.content = h("div", { class: "stack" }, ...parts);
    this.node = h("div", {}, h("p", { class: "crumbs" }, h("a", { href, text: `← ${name}` }), h("kbd", { text: "Esc", "aria-hidden": "true" })), this.missing, this.content);
  }

  /** Shows that `id` is unknown, with the server's words. */
  showMissing(id, why) {
    const { href, see } = this.list;
    this.content.hidden = true;
    this.missing.hidden = false;
    this.missing.replaceChildren(h("h1", { text: id }), h("p", { text: why }), h("p", {}, h("a", { href, text: see })));
  }

  update(data) {
    this.data = data;
    this.content.hidden = false;
    this.missing.hidden = true;
    this.render();
  }

  /** Sets the choices as they are for `data`, and what history is shown. */
  choose(data) {
    this.kinds.set(this.kind);
    this.hours = this.picked ?? hoursKept(data);
    this.ranges.set(this.hours);
  }
}
