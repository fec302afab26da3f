// The fingerprint as a table: a row a feature, a column a KPI, over the short or the long window.

import { h, reconcile, setAttr, setText } from "./dom.js";
import { duration, kpiName, number, percent, quantity, setTime, timeNode } from "./format.js";

const asValue = (v, unit) => quantity(v, unit);
const asNumber = (v) => number(v);
const asShare = (v) => percent(v);
const perHour = (v, unit) => (v == null ? "–" : `${quantity(v, unit)}/h`);
const season = (v, unit) => (v == null ? "–" : `${percent(v.strength)} (± ${quantity(v.amplitude, unit)})`);

const FEATURES = [
  ["count", "Samples", (v) => v.toLocaleString()], ["missing_share", "Missing", asShare],
  ["mean", "Mean", asValue], ["std_dev", "Standard deviation", asValue], ["min", "Least", asValue], ["p50", "Median", asValue],
  ["p90", "90 %", asValue], ["p95", "95 %", asValue], ["p99", "99 %", asValue], ["max", "Most", asValue],
  ["trend_per_h", "Trend", perHour], ["trend_std_err", "Trend, standard error", perHour], ["trend_r2", "Trend, R²", asNumber],
  ["season_1h", "Season of 1 h", season], ["season_24h", "Season of 24 h", season], ["season_7d", "Season of 7 d", season],
  ["acf_1h", "Autocorrelation, 1 h", asNumber], ["acf_24h", "Autocorrelation, 24 h", asNumber], ["acf_7d", "Autocorrelation, 7 d", asNumber],
  ["burstiness", "Burstiness", asNumber],
];

export class FeatureTable {
  constructor() {
    this.window = "long";
    this.at = timeNode();
    this.features_at = timeNode();
    this.features = h("span", {}, " · features as of ", this.features_at);
    this.about = h("span");
    this.buttons = ["short", "long"].map((w) => h("button", { type: "button", "data-value": w, onclick: () => { this.window = w; this.render(); } }));
    this.head = h("tr");
    this.body = h("tbody");
    this.empty = h("p", { class: "muted pad", text: "No fingerprint yet: the fingerprinter writes the newest values with each released sample, and features when a bin of 5 minutes closes. Its lag is in the strip above." });
    this.table = h("div", { class: "scroll-x" }, h("table", { class: "plain features" }, h("thead", {}, this.head), this.body));
    this.tools = h("div", { class: "panel-head" }, h("h2", { id: "features-title", text: "Fingerprint" }),
      h("div", { class: "segmented", role: "group", "aria-label": "Window" }, ...this.buttons), h("span", { class: "muted" }, this.at, this.features, this.about));
    this.node = h("section", { class: "panel", "aria-labelledby": "features-title" }, this.tools, this.empty, this.table);
  }

  update(fingerprint, newest_ms) {
    this.fingerprint = fingerprint;
    this.newest_ms = newest_ms;
    this.render();
  }

  render() {
    const fp = this.fingerprint;
    this.empty.hidden = Boolean(fp);
    this.table.hidden = !fp;
    for (const button of this.buttons) button.hidden = !fp;
    if (!fp) return;
    setTime(this.at, fp.at_ms, this.newest_ms);
    this.features.hidden = fp.features_at_ms == null || fp.features_at_ms === fp.at_ms;
    if (fp.features_at_ms != null) setTime(this.features_at, fp.features_at_ms, this.newest_ms);
    setText(this.about, ` · every ${duration(fp.step_s)} · feature set ${fp.feature_schema_hash}`);
    for (const button of this.buttons) {
      setText(button, `${button.dataset.value === "short" ? "Short" : "Long"} window, ${duration(fp[`${button.dataset.value}_window_s`])}`);
      setAttr(button, "aria-pressed", String(button.dataset.value === this.window));
    }
    const columns = [{ name: "" }, ...fp.kpis];
    reconcile(this.head, columns, (c) => c.name, () => h("th", { scope: "col" }), (node, c) => setText(node, c.name === "" ? "" : kpiName(c.name)));
    const extra = [...new Set(fp.kpis.flatMap((k) => Object.keys(k[this.window]?.extra ?? {})))].sort();
    const features = [["last", "Last", asValue], ...FEATURES, ["top", "Strongest periods", null], ...extra.map((name) => [`extra:${name}`, name, asNumber])];
    const known = features.filter(([key]) => fp.kpis.some((k) => valueOf(k, this.window, key) != null));
    reconcile(this.body, known, ([key]) => key, ([, title]) => h("tr", {}, h("th", { scope: "row", text: title })), (row, [key, , show]) => {
      while (row.children.length < columns.length) row.append(h("td", { class: "num" }));
      while (row.children.length > columns.length) row.lastChild.remove();
      fp.kpis.forEach((kpi, i) => {
        const value = valueOf(kpi, this.window, key);
        setText(row.children[i + 1], value == null ? "–" : show === null ? value : show(value, kpi.unit));
      });
    });
  }
}

function valueOf(kpi, window, key) {
  if (key === "last") return kpi.last;
  const features = kpi[window];
  if (!features) return null;
  if (key.startsWith("extra:")) return features.extra[key.slice(6)];
  if (key === "top") {
    const top = features.top_seasons.slice(0, 2);
    return top.length ? top.map((x) => `${duration(x.period_s)} (${percent(x.strength)})`).join(", ") : null;
  }
  return features[key];
}
