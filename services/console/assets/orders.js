// Orders of operators: what stands, a form to pause, and a button to resume.

import { post } from "./api.js";
import { h, reconcile, setText } from "./dom.js";
import { setTime, timeNode } from "./format.js";

const EFFECTS = { pause: "nothing changes", "pause-scale-in": "nothing shrinks" };
const COLUMNS = ["Scope", "Order", "Why", "By", "Since", ""];

/** One line on what stands, for the head of every view. */
export function updateStanding(node, orders) {
  node.hidden = orders.length === 0;
  const text = orders.map((o) => `${o.scope}: ${EFFECTS[o.effect] ?? o.effect}${o.why ? ` (${o.why})` : ""}`).join(" · ");
  setText(node, node.hidden ? "" : `By order of operators: ${text}`);
}

export class OrdersPanel {
  constructor() {
    this.body = h("tbody");
    this.none = h("p", { class: "muted pad", text: "No order stands: changes go out as planner and governor decide." });
    this.scope = h("input", { id: "order-scope", type: "text", value: "all", required: true, autocomplete: "off", spellcheck: "false", title: "all, fleet:NAME or workload:NAME" });
    this.why = h("input", { id: "order-why", type: "text", autocomplete: "off" });
    this.shrinkOnly = h("input", { id: "order-scale-in-only", type: "checkbox" });
    this.said = h("p", { class: "muted pad", role: "status" });
    const form = h("form", { class: "order-form", onsubmit: (event) => {
      event.preventDefault();
      this.#give(this.scope.value.trim(), this.shrinkOnly.checked ? "pause-scale-in" : "pause", this.why.value.trim());
    } },
      h("label", { for: "order-scope", text: "Scope" }), this.scope, h("label", { for: "order-why", text: "Why" }), this.why,
      h("label", { for: "order-scale-in-only" }, this.shrinkOnly, " only what shrinks"), h("button", { type: "submit", text: "Pause" }));
    this.table = h("div", { class: "scroll-x" }, h("table", { class: "plain orders" }, h("thead", {}, h("tr", {}, ...COLUMNS.map((c) => h("th", { scope: "col", text: c })))), this.body));
    this.node = h("section", { class: "panel", "aria-labelledby": "orders-title" }, h("h2", { id: "orders-title", text: "Orders that stand" }), this.none, this.table, form, this.said);
  }

  update(orders, newest_ms) {
    this.none.hidden = orders.length !== 0;
    this.table.hidden = orders.length === 0;
    reconcile(this.body, orders, (o) => o.scope, (o) => h("tr", {}, h("th", { scope: "row" }), h("td"), h("td"), h("td"), h("td", {}, timeNode()),
      h("td", {}, h("button", { type: "button", text: "Resume", onclick: () => this.#give(o.scope, "resume", "") }))), (node, o) => {
      [o.scope, EFFECTS[o.effect] ?? o.effect, o.why, o.by].forEach((text, i) => setText(node.children[i], text));
      setTime(node.children[4].firstChild, o.at_ms, newest_ms);
    });
  }

  async #give(scope, effect, why) {
    setText(this.said, `${scope}: giving the order …`);
    try {
      const answer = await post("api/orders", { scope, effect, why });
      setText(this.said, answer.done);
    } catch (error) {
      setText(this.said, error.message);
    }
  }
}
