// A time-series chart in SVG. Layers are named paths whose `d` is updated in place; values are read
// with the pointer or the arrow keys.

import { h, reconcile, s, setAttr, setText } from "./dom.js";
import { clock, number, scaleFor, utc } from "./format.js";

const MINUTE = 60_000;
const OFF_SCALE = 4;
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360, 720, 1440].map((m) => m * MINUTE);

/** A round step so that about `count` of them span `span`. */
export function niceStep(span, count, binary) {
  const raw = span / Math.max(1, count);
  const base = 10 ** Math.floor(Math.log10(raw));
  const steps = binary ? [1, 2, 4, 8, 16] : [1, 2, 2.5, 5, 10];
  return steps.map((m) => m * base).find((step) => step >= raw * 0.999) ?? 10 * base;
}

/** Instants of the time axis, on local wall-clock boundaries. */
export function timeTicks(from, to, count) {
  const step = TIME_STEPS.find((candidate) => (to - from) / candidate <= count) ?? TIME_STEPS.at(-1);
  const offset = new Date(to).getTimezoneOffset() * MINUTE;
  const ticks = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to; at += step) ticks.push(at);
  return ticks;
}

const round = (v) => Math.round(v * 10) / 10;

function pathOfLine(points, x, y, gap_ms) {
  let d = "";
  let previous = null;
  for (const [at, value] of points) {
    if (value === null) {
      previous = null;
      continue;
    }
    const joined = previous !== null && at - previous <= gap_ms;
    d += `${joined ? "L" : "M"}${round(x(at))} ${round(y(value))}`;
    previous = at;
  }
  return d;
}

function pathOfStep(points, until, x, y) {
  let d = "";
  points.forEach(([at, value], i) => {
    const end = i + 1 < points.length ? points[i + 1][0] : until;
    if (value === null || end < at) return;
    d += `${d === "" || points[i - 1]?.[1] === null ? "M" : "L"}${round(x(at))} ${round(y(value))}H${round(x(end))}`;
  });
  return d;
}

function pathOfBand(points, x, y, gap_ms) {
  const runs = [];
  let previous = null;
  for (const point of points) {
    if (previous === null || point[0] - previous > gap_ms) runs.push([]);
    runs.at(-1).push(point);
    previous = point[0];
  }
  return runs
    .filter((run) => run.length > 1)
    .map((run) => {
      const upper = run.map(([at, , high]) => `${round(x(at))} ${round(y(high))}`);
      const lower = run.map(([at, low]) => `${round(x(at))} ${round(y(low))}`).reverse();
      return `M${upper.join("L")}L${lower.join("L")}Z`;
    })
    .join("");
}

/** Value of `points` at `at`: the nearest within `reach_ms`, or between two where `linear`. */
export function readAt(points, at, reach_ms, linear) {
  let low = 0;
  let high = points.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < at) low = middle + 1;
    else high = middle;
  }
  const right = points[low];
  const left = points[low - 1];
  if (linear && left && right) {
    const share = (at - left[0]) / (right[0] - left[0] || 1);
    return right.map((value, i) => left[i] + share * (value - left[i]));
  }
  const nearest = !left ? right : !right ? left : at - left[0] <= right[0] - at ? left : right;
  return nearest && Math.abs(nearest[0] - at) <= reach_ms ? nearest : null;
}

const lastOf = (layer) => layer.points.at(-1)?.[1] ?? 0;
const mostOf = (layer) => layer.points.reduce((most, p) => Math.max(most, layer.type === "band" ? p[2] : (p[1] ?? 0)), 0);

/** Least and greatest value to show. A step line far above all else would flatten it: it is left
 * `above` the scale and named there instead. */
function extent(layers) {
  const data = Math.max(1e-9, ...layers.filter((l) => l.type !== "step").map(mostOf));
  const steps = layers.filter((l) => l.type === "step");
  const above = steps.filter((l) => mostOf(l) > data * OFF_SCALE);
  const top_value = Math.max(data, ...steps.filter((l) => !above.includes(l)).map(mostOf));
  const lines = layers.filter((l) => l.type === "line").flatMap((l) => l.points.map((p) => p[1] ?? 0));
  return { top_value, bottom_value: lines.reduce((least, v) => Math.min(least, v), 0), above };
}

export class TimeChart {
  /** `label` names the chart for screen readers; `height` is in pixels. */
  constructor({ label, height, compact = false }) {
    this.height = height;
    this.margin = compact ? { top: 8, right: 8, bottom: 20, left: 44 } : { top: 22, right: 16, bottom: 24, left: 52 };
    this.compact = compact;
    this.grid = s("g", { class: "grid" });
    this.layers = s("g");
    this.marks = s("g", { class: "marks" });
    this.axis = s("g", { class: "axis" });
    this.cursor = s("line", { class: "cursor", y1: this.margin.top, y2: height - this.margin.bottom, visibility: "hidden" });
    this.svg = s("svg", { class: "chart-svg", height, "aria-hidden": "true" }, this.grid, this.layers, this.marks, this.cursor, this.axis);
    this.tip = h("div", { class: "tip", role: "status", hidden: true });
    this.node = h(
      "div",
      { class: "chart", tabindex: "0", role: "group", "aria-roledescription": "chart", "aria-label": label,
        onpointermove: (e) => this.#point(e), onpointerleave: () => this.#read(null), onblur: () => this.#read(null),
        onkeydown: (e) => this.#key(e) },
      this.svg,
      this.tip,
    );
    this.width = 0;
    new ResizeObserver((entries) => {
      const width = Math.floor(entries[0].contentRect.width);
      if (width !== this.width) {
        this.width = width;
        this.#draw();
      }
    }).observe(this.node);
  }

  /**
   * `model`: from, to, now (ms), unit, layers [{key, type: line|step|band, points, name, gap_ms,
   * until, read: "near"|"linear"|"step"|null}] from back to front, markers [{key, at, kind, title}].
   */
  update(model) {
    this.model = model;
    this.#draw();
  }

  setLabel(label) {
    setAttr(this.node, "aria-label", label);
  }

  #draw() {
    const model = this.model;
    if (!model || this.width < 80) return;
    const { top, right, bottom, left } = this.margin;
    setAttr(this.svg, "width", this.width);
    setAttr(this.svg, "viewBox", `0 0 ${this.width} ${this.height}`);
    const inner = { width: this.width - left - right, height: this.height - top - bottom };
    const layers = model.layers.map((layer) => ({ ...layer, points: visible(layer, model) }));
    const { top_value, bottom_value, above } = extent(layers);
    const scale = scaleFor(model.unit, top_value);
    const binary = scale.divisor > 1 && scale.label.includes("iB");
    const step = niceStep((top_value - bottom_value) / scale.divisor, this.compact ? 2 : 5, binary) * scale.divisor;
    const ceiling = Math.ceil((top_value * 1.04) / step) * step;
    const floor = Math.floor(bottom_value / step) * step;
    this.above = above;
    this.x = (at) => left + ((at - model.from) / (model.to - model.from)) * inner.width;
    this.y = (value) => top + (1 - (Math.max(value, floor) - floor) / (ceiling - floor)) * inner.height;
    this.invert = (px) => model.from + ((px - left) / inner.width) * (model.to - model.from);
    this.#axes({ floor, ceiling, step, scale, inner });
    reconcile(this.layers, layers, (l) => l.key, (l) => s("path", { class: `layer ${l.key}`, "data-layer": l.key }), (node, l) => setAttr(node, "d", above.some((a) => a.key === l.key) ? "" : this.#path(l)));
    this.#markers(model);
    if (this.reading !== undefined && this.reading !== null) this.#read(this.reading);
  }

  #path(layer) {
    const until = layer.until ?? this.model.to;
    if (layer.type === "band") return pathOfBand(layer.points, this.x, this.y, layer.gap_ms ?? Infinity);
    if (layer.type === "step") return pathOfStep(layer.points, until, this.x, this.y);
    return pathOfLine(layer.points, this.x, this.y, layer.gap_ms ?? Infinity);
  }

  #axes({ floor, ceiling, step, scale, inner }) {
    const { left, top } = this.margin;
    const values = [];
    for (let value = floor; value <= ceiling + step / 2; value += step) values.push(value);
    const line = () => s("line");
    reconcile(this.grid, values, (v) => `y${v / step}`, line, (node, v) => {
      setAttr(node, "x1", left);
      setAttr(node, "x2", left + inner.width);
      setAttr(node, "y1", round(this.y(v)));
      setAttr(node, "y2", round(this.y(v)));
    });
    const times = timeTicks(this.model.from, this.model.to, inner.width / (this.compact ? 70 : 90));
    const labels = [
      ...values.map((v) => ({ key: `y${v / step}`, x: left - 8, y: this.y(v) + 4, anchor: "end", text: number(v / scale.divisor) })),
      ...times.map((at) => ({ key: `x${at}`, x: this.x(at), y: this.height - 6, anchor: "middle", text: hourText(at) })),
      ...(this.compact ? [] : [{ key: "unit", x: left - 8, y: top - 9, anchor: "end", text: scale.label }]),
      ...this.above.map((l) => ({ key: `above-${l.key}`, x: left + 6, y: top + 12, anchor: "start", text: `↑ ${l.name} ${withUnit(lastOf(l), this.model.unit)}, above this scale` })),
    ];
    reconcile(this.axis, labels, (l) => l.key, () => s("text"), (node, l) => {
      setAttr(node, "x", round(l.x));
      setAttr(node, "y", round(l.y));
      setAttr(node, "text-anchor", l.anchor);
      setText(node, l.text);
    });
  }

  #markers(model) {
    const { top, bottom } = this.margin;
    const inside = (model.markers ?? []).filter((m) => m.at >= model.from && m.at <= model.to);
    const now = model.now !== undefined && model.to > model.now ? [{ key: "now", at: model.now, kind: "now", title: "now" }] : [];
    reconcile(this.marks, [...now, ...inside], (m) => m.key, (m) => marker(m), (node, m) => {
      setAttr(node, "transform", `translate(${round(this.x(m.at))} 0)`);
      setAttr(node, "class", `mark ${m.kind}`);
      const [line, shape, title] = node.children;
      setAttr(line, "y1", top - (m.kind === "now" ? 8 : 2));
      setAttr(line, "y2", this.height - bottom);
      setAttr(shape, "transform", `translate(0 ${top - 8})`);
      if (m.kind === "now") setText(shape, "now");
      else setAttr(shape, "d", SHAPES[m.kind] ?? SHAPES.reshape);
      if (title) setText(title, m.title);
    });
  }

  #point(event) {
    const box = this.svg.getBoundingClientRect();
    this.#read(this.invert ? this.invert(event.clientX - box.left) : null);
  }

  #key(event) {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const step = (this.model.to - this.model.from) / (event.shiftKey ? 12 : 120);
    const at = this.reading ?? this.model.now ?? this.model.to;
    this.#read(at + (event.key === "ArrowRight" ? step : -step));
  }

  #read(at) {
    const model = this.model;
    if (at === null || !model || at < model.from || at > model.to) {
      this.reading = null;
      setAttr(this.cursor, "visibility", "hidden");
      this.tip.hidden = true;
      return;
    }
    this.reading = at;
    const rows = model.layers.map((layer) => readRow(layer, at, model)).filter((row) => row !== null);
    const near = (model.markers ?? []).filter((m) => Math.abs(this.x(m.at) - this.x(at)) < 7);
    const head = h("strong", { text: clock(at, model.now), title: utc(at) });
    const list = h("dl", {}, ...rows.map(([name, text]) => h("div", {}, h("dt", { text: name }), h("dd", { text }))));
    this.tip.replaceChildren(head, list, ...near.map((m) => h("p", { text: m.title })));
    this.tip.hidden = false;
    setAttr(this.cursor, "visibility", "visible");
    setAttr(this.cursor, "x1", round(this.x(at)));
    setAttr(this.cursor, "x2", round(this.x(at)));
    const left = this.x(at) > this.width / 2 ? this.x(at) - this.tip.offsetWidth - 12 : this.x(at) + 12;
    this.tip.style.left = `${Math.max(0, Math.round(left))}px`;
  }
}

const SHAPES = { "scale-out": "M0 -6L6 4H-6Z", "scale-in": "M0 6L6 -4H-6Z", reshape: "M0 -6L6 0L0 6L-6 0Z" };

function marker(m) {
  const shape = m.kind === "now" ? s("text", { "text-anchor": "middle", y: -2 }) : s("path");
  return s("g", {}, s("line", { x1: 0, x2: 0 }), shape, s("title"));
}

function visible(layer, model) {
  const { points } = layer;
  let first = points.findIndex(([at]) => at >= model.from);
  if (first === -1) first = points.length;
  if (layer.type === "step" && first > 0) {
    const carried = [...points[first - 1]];
    carried[0] = model.from;
    return [carried, ...points.slice(first).filter(([at]) => at <= model.to)];
  }
  return points.slice(first).filter(([at]) => at <= model.to);
}

function hourText(at) {
  const date = new Date(at);
  if (date.getHours() === 0 && date.getMinutes() === 0) return date.toLocaleDateString(undefined, { month: "short", day: "numeric" });
  return date.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

function readRow(layer, at, model) {
  if (!layer.name) return null;
  if (layer.type === "step") {
    const before = layer.points.filter(([t]) => t <= at).at(-1);
    return before && before[1] !== null && at <= (layer.until ?? model.to) ? [layer.name, withUnit(before[1], model.unit)] : null;
  }
  const found = readAt(layer.points, at, layer.gap_ms ?? 0, layer.linear);
  if (!found || found[1] === null) return null;
  if (layer.type === "band") return [layer.name, rangeText(found[1], found[2], model.unit)];
  return [layer.name, withUnit(found[1], model.unit)];
}

function withUnit(value, unit) {
  const scale = scaleFor(unit, value);
  return `${number(value / scale.divisor)} ${scale.label}`.trim();
}

function rangeText(low, high, unit) {
  const scale = scaleFor(unit, Math.max(Math.abs(low), Math.abs(high)));
  return `${number(low / scale.divisor)} – ${number(high / scale.divisor)} ${scale.label}`.trim();
}

/** A sparkline: `values` (null for a gap) as one path of 0-based height. */
export class Spark {
  constructor(width, height) {
    this.size = { width, height };
    this.area = s("path", { class: "spark-area" });
    this.line = s("path", { class: "spark-line" });
    this.node = s("svg", { class: "spark", width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, this.area, this.line);
  }

  update(values) {
    const { width, height } = this.size;
    const ceiling = Math.max(1e-12, ...values.map((v) => v ?? 0));
    const x = (i) => (i / Math.max(1, values.length - 1)) * (width - 2) + 1;
    const y = (v) => height - 2 - (Math.max(0, v) / ceiling) * (height - 4);
    const points = values.map((v, i) => [i, v]);
    setAttr(this.line, "d", pathOfLine(points, x, y, 1));
    setAttr(this.area, "d", pathOfBand(points.filter(([, v]) => v !== null).map(([i, v]) => [i, 0, v]), x, y, 1));
  }
}
