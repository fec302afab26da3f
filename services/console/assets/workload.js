// One workload: demand with its forecast fan and capacity, other KPIs, actions with their reasons,
// what is known of how it behaves.

import { actionCard } from "./actions.js";
import { TimeChart } from "./chart.js";
import { h, reconcile, setText } from "./dom.js";
import { ExplanationPanel } from "./explanation.js";
import { FeatureTable } from "./features.js";
import { CAPACITY_OF, capacityText, changeText, clock, duration, kpiName, percent, platformName, quantity, setTime, timeNode, worthText } from "./format.js";
import { LEVELS, VERDICTS, badge, setBadge } from "./status.js";
import { HOUR, KINDS, LEGEND, SubjectView, fact, heldText } from "./subject.js";

export class WorkloadView extends SubjectView {
  constructor() {
    super({ href: "#/fleet", name: "Fleet", see: "See the fleet" }, LEGEND);
    this.badge = badge();
    this.sub = h("span", { class: "muted" });
    this.facts = { at: timeNode(), capacity: h("span"), model: h("span"), made: timeNode(), coverage: h("span") };
    this.worth = h("p", { class: "worth muted", hidden: true });
    this.others = h("div", { class: "small-charts" });
    this.othersPanel = h("section", { class: "panel", "aria-labelledby": "others-title" }, h("h2", { id: "others-title", text: "Other KPIs" }), this.others);
    this.cards = h("div", { class: "cards" });
    this.cardsEmpty = h("p", { class: "muted pad", text: "No action for this workload yet. Explain, above, says what the planner makes of it." });
    this.explanation = new ExplanationPanel();
    this.features = new FeatureTable();
    const f = this.facts;
    this.fill(
      h("section", { class: "panel workload-head", "aria-label": "State" },
        h("div", { class: "workload-title" }, this.title, this.badge, this.sub),
        h("dl", { class: "facts" }, fact("Capacity", f.capacity), fact("Last sample", f.at), fact("Forecast made", f.made), fact("Model", f.model), fact("90 % band held (CPU, 15 min)", f.coverage)), this.worth),
      this.explanation.node,
      this.controls, this.resources, this.othersPanel,
      h("section", { class: "panel", "aria-labelledby": "why-title" }, h("h2", { id: "why-title", text: "Actions and why" }), this.cards, this.cardsEmpty),
      this.features.node);
  }

  /** Shows why the capacity was what it was `at` an instant, or no longer does where that is `null`. */
  explain(id, at) {
    this.explanation.show(id, at);
  }

  update(data) {
    if (data.at_ms != null) this.explanation.suggest(data.at_ms);
    super.update(data);
  }

  render() {
    const data = this.data;
    if (!data) return;
    this.choose(data);
    setText(this.title, data.id);
    setBadge(this.badge, LEVELS, data.status, data.status_why);
    setText(this.sub, `${platformName(data.platform)} · from ${data.source} · ${data.status_why}`);
    this.#facts(data);
    this.worth.hidden = !data.worth;
    setText(this.worth, worthText(data.worth));
    const byKpi = new Map(data.series.map((series) => [series.kpi, series]));
    const sized = ["cpu_cores_used", "memory_bytes"].filter((kpi) => byKpi.has(kpi) || data.prediction?.resources.some((r) => r.resource === kpi));
    const predicted = (data.prediction?.resources ?? []).map((r) => r.resource).filter((kpi) => !sized.includes(kpi));
    const shown = [...sized, ...predicted];
    reconcile(this.resources, shown, (kpi) => kpi, (kpi) => new ResourcePanel(kpi).node, (node, kpi) => node.panel.update(this, data, byKpi.get(kpi)));
    const others = data.series.filter((series) => !shown.includes(series.kpi));
    this.othersPanel.hidden = others.length === 0;
    reconcile(this.others, others, (o) => o.kpi, (o) => smallChart(o), (node, o) => updateSmall(node, o, data, this.hours));
    reconcile(this.cards, data.actions, (a) => a.id, () => actionCard.create(false), (node, a, i) => {
      if (i === 0 && node.opened === undefined) node.open = true;
      node.opened = true;
      actionCard.update(node, a, data.at_ms);
    });
    this.cardsEmpty.hidden = data.actions.length !== 0;
    this.features.update(data.fingerprint, data.at_ms);
  }

  #facts(data) {
    const { at, capacity, model, made, coverage } = this.facts;
    setTime(at, data.at_ms);
    setText(capacity, capacityText(data.capacity));
    const cpu = data.prediction?.resources.find((r) => r.resource === "cpu_cores_used") ?? data.prediction?.resources[0];
    setText(model, cpu ? modelText(cpu) : "no forecast yet");
    if (data.prediction) setTime(made, data.prediction.made_at_ms);
    else setText(made, "–");
    const interval = cpu?.horizons.find((x) => x.horizon_s === 900)?.value_interval;
    setText(coverage, heldText(interval));
  }
}

/** The model of a resource's forecast, and what drift or its youth did to it. */
export function modelText({ model, model_version, drift, started_from }) {
  const notes = [];
  if (drift && drift !== "stable") notes.push(`drift: ${drift}`);
  if (started_from.length) notes.push(`started from ${started_from.join(", ")}`);
  return [`${model} ${model_version}`, ...notes].join(" · ");
}

/** Points of the fan: the demand at `made_at`, then each horizon's quantiles of `kind`. */
export function fanOf(prediction, forecast, kind) {
  const start = forecast.last ?? null;
  const first = start === null ? [] : [[prediction.made_at_ms, start, start, start, start, start]];
  return [...first, ...forecast.horizons.map((x) => {
    const q = x[kind];
    return [prediction.made_at_ms + x.horizon_s * 1000, q[0], q[2], q[3], q[4], q[6]];
  })];
}

/** One resource: its chart and its forecast as numbers. */
export class ResourcePanel {
  constructor(kpi) {
    this.kpi = kpi;
    this.chart = new TimeChart({ label: kpiName(kpi), height: 280 });
    this.figure = h("span", { class: "figure" });
    this.table = h("tbody");
    this.tableBox = h("details", { class: "quantiles" }, h("summary", { text: "Forecast as numbers" }), h("div", { class: "scroll-x" }, h("table", { class: "plain" },
      h("thead", {}, h("tr", {}, ...["", "5 %", "25 %", "Median", "75 %", "95 %", "Interval", "Held lately"].map((t) => h("th", { scope: "col", text: t })))), this.table)));
    this.empty = h("p", { class: "muted pad", text: "No forecast yet: the predictor needs a few samples first. The stages' lag above says whether one of them is behind." });
    this.node = h("section", { class: "panel resource", "data-resource": kpi }, h("div", { class: "panel-head" }, h("h2", { text: kpiName(kpi) }), this.figure), this.chart.node, this.empty, this.tableBox);
    this.node.panel = this;
  }

  update(view, data, series) {
    const forecast = data.prediction?.resources.find((r) => r.resource === this.kpi);
    const unit = series?.unit ?? forecast?.unit ?? "";
    const capacityKey = CAPACITY_OF[this.kpi];
    const capacity = capacityKey ? data.capacity_steps.map((step) => [step.at_ms, step[capacityKey]]) : [];
    const last = series?.last ?? forecast?.last;
    const limit = capacity.at(-1)?.[1];
    setText(this.figure, `${quantity(last, unit)}${limit ? ` of ${quantity(limit, unit)} (${percent(last / limit)})` : ""}`);
    const to = data.at_ms + (forecast ? HOUR : 0);
    const from = data.at_ms - view.hours * HOUR;
    const layers = [...historyLayers(series), ...this.#forecastLayers(view, data, forecast)];
    if (capacity.length) layers.push({ key: "capacity", type: "step", points: capacity, name: "Capacity", until: to });
    this.chart.update({ from, to, now: data.at_ms, unit, layers, markers: markersOf(data.actions) });
    this.chart.setLabel(this.#label(view, forecast, unit, last, limit));
    this.empty.hidden = forecast !== undefined;
    this.tableBox.hidden = forecast === undefined;
    if (forecast) this.#numbers(forecast, unit);
  }

  #forecastLayers(view, data, forecast) {
    const trail = data.trail.find((t) => t.resource === this.kpi);
    const layers = [];
    if (trail) {
      const gap_ms = Math.max(3 * trail.resolution_s, 900) * 1000;
      const points = trail.points.filter(([at]) => at <= data.at_ms + trail.horizon_s * 1000);
      layers.push({ key: "trail-band", type: "band", points: points.map(([at, low, , high]) => [at, low, high]), gap_ms });
      layers.push({ key: "trail", type: "line", points: points.map(([at, , median]) => [at, median]), gap_ms, name: `Forecast ${duration(trail.horizon_s)} earlier` });
    }
    if (forecast) {
      const fan = fanOf(data.prediction, forecast, view.kind);
      layers.push({ key: "band90", type: "band", points: fan.map(([at, low, , , , high]) => [at, low, high]), name: "5 – 95 %", linear: true });
      layers.push({ key: "band50", type: "band", points: fan.map(([at, , low, , high]) => [at, low, high]), name: "25 – 75 %", linear: true });
      layers.push({ key: "median", type: "line", points: fan.map(([at, , , middle]) => [at, middle]), name: "Median", linear: true });
    }
    return layers;
  }

  #label(view, forecast, unit, last, limit) {
    const parts = [`${kpiName(this.kpi)}: ${quantity(last, unit)} now`];
    if (limit) parts.push(`capacity ${quantity(limit, unit)}`);
    const far = forecast?.horizons.at(-1);
    if (far) parts.push(`${view.kind === "value" ? "forecast in" : "peak within"} ${duration(far.horizon_s)} ${quantity(far[view.kind][3], unit)}, 90 % band ${quantity(far[view.kind][0], unit)} to ${quantity(far[view.kind][6], unit)}`);
    return `${parts.join("; ")}. Left and right arrow keys read values.`;
  }

  #numbers(forecast, unit) {
    const rows = KINDS.flatMap(([kind, words]) => forecast.horizons.map((x) => ({ key: `${kind}${x.horizon_s}`, name: `${words} ${kind === "value" ? "+" : ""}${duration(x.horizon_s)}`, q: x[kind], interval: x[`${kind}_interval`] })));
    reconcile(this.table, rows, (r) => r.key, () => h("tr", {}, h("th", { scope: "row" }), ...Array.from({ length: 7 }, () => h("td", { class: "num" }))), (node, r) => {
      const { interval } = r;
      const nominal = interval.trailing_coverage == null ? "" : `, nominal ${percent(interval.nominal_coverage)}`;
      const held = `${heldText(interval)}${nominal}`;
      const texts = [r.name, ...[0, 2, 3, 4, 6].map((i) => quantity(r.q[i], unit)), `${quantity(interval.lower, unit)} – ${quantity(interval.upper, unit)}`, held];
      texts.forEach((text, i) => setText(node.children[i], text));
    });
  }
}

function historyLayers(series) {
  if (!series) return [];
  const gap_ms = Math.max(series.resolution_s * 3.5, 1) * 1000;
  return [
    { key: "envelope", type: "band", points: series.points.filter((p) => p[1] !== null).map(([at, , low, high]) => [at, low, high]), gap_ms },
    { key: "line", type: "line", points: series.points, gap_ms, name: kpiName(series.kpi) },
  ];
}

function markersOf(actions) {
  return actions.map((a) => ({ key: a.id, at: a.decided_at_ms, kind: a.verdict, title: `${VERDICTS[a.verdict].text}: ${changeText(a.current, a.desired)} at ${clock(a.decided_at_ms)}${a.dry_run ? " (dry run)" : ""}` }));
}

function smallChart(series) {
  const chart = new TimeChart({ label: kpiName(series.kpi), height: 120, compact: true });
  const node = h("figure", { class: "small-chart" }, h("figcaption", {}, h("span", { text: kpiName(series.kpi) }), h("span", { class: "num" })), chart.node);
  node.chart = chart;
  return node;
}

function updateSmall(node, series, data, hours) {
  setText(node.firstChild.lastChild, quantity(series.last, series.unit));
  node.chart.update({ from: data.at_ms - hours * HOUR, to: data.at_ms, now: data.at_ms, unit: series.unit, layers: historyLayers(series) });
  node.chart.setLabel(`${kpiName(series.kpi)}: ${quantity(series.last, series.unit)} now. Left and right arrow keys read values.`);
}
