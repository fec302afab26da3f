// Actions: one line each in lists, and the whole of one with why its numbers are what they are.

import { h, reconcile, setAttr, setText } from "./dom.js";
import { CAPACITY_OF, capacityText, changeText, duration, kpiName, number, percent, quantity, setTime, timeNode, unitOf } from "./format.js";
import { OUTCOMES, VERDICTS, badge, setBadge } from "./status.js";

const POLL_LIMIT = 200;
/** A plan may grow and stay below what serves, and the other way round. */
const PLAN = { raised: ", the plan raised", lowered: ", the plan lowered" };
const changed = (action) => changeText(action.current, action.desired) + (PLAN[action.plan] ?? "");
const outcomeOf = (action) => action.result?.outcome ?? "waiting";

function outcomeTitle(action) {
  const { result } = action;
  if (!result) return "the actuator has not answered";
  if (result.outcome === "failed") return `${result.why}${result.retryable ? " (will be tried again)" : ""}`;
  return result.why ?? null;
}

/** One line: what, whose, when, what became of it. */
export const actionLine = {
  create: () => h("li", {}, badge(), h("a"), h("span", { class: "change" }), timeNode(), badge()),
  update(node, action, newest_ms) {
    const [verdict, link, change, time, outcome] = node.children;
    setBadge(verdict, VERDICTS, action.verdict);
    setText(link, action.workload);
    setAttr(link, "href", `#/workload/${encodeURIComponent(action.workload)}`);
    setText(change, changed(action));
    setTime(time, action.decided_at_ms, newest_ms);
    setBadge(outcome, OUTCOMES, outcomeOf(action), outcomeTitle(action));
  },
};

/** One action in full, as a <details>. */
export const actionCard = {
  create(withWorkload) {
    const summary = h("summary", {}, badge(), h("strong", { class: "change" }), withWorkload ? h("a") : h("span", { class: "muted policy" }), timeNode(), badge());
    const reasons = h("ol", { class: "reasons" });
    const evidence = h("tbody");
    const table = h("div", { class: "scroll-x" }, h("table", { class: "evidence" },
      h("caption", { text: "The forecast it rests on" }),
      h("thead", {}, h("tr", {}, ...["Resource", "Horizon", "Predicted peak", "Interval", "Rel. width", "Capacity gone by", "Demand / capacity", "Model"].map((t) => h("th", { scope: "col", text: t })))), evidence));
    const facts = h("dl", { class: "facts" });
    const node = h("details", { class: "action" }, summary, h("div", { class: "action-body" }, h("h3", { text: "Why this number" }), reasons, table, facts));
    Object.assign(node, { parts: { summary, reasons, evidence, table, facts }, withWorkload });
    return node;
  },
  update(node, action, newest_ms) {
    const { summary, reasons, evidence, table, facts } = node.parts;
    const [verdict, change, whose, time, outcome] = summary.children;
    setBadge(verdict, VERDICTS, action.verdict);
    setText(change, changed(action));
    setText(whose, node.withWorkload ? action.workload : `policy ${action.policy}`);
    if (node.withWorkload) setAttr(whose, "href", `#/workload/${encodeURIComponent(action.workload)}`);
    setTime(time, action.decided_at_ms, newest_ms);
    setBadge(outcome, OUTCOMES, outcomeOf(action), outcomeTitle(action));
    reconcile(reasons, action.reasons, (_, i) => i, () => h("li", {}, h("span"), h("code")), (item, reason) => {
      setText(item.firstChild, reason.text);
      setText(item.lastChild, reason.rule);
    });
    table.hidden = action.evidence.length === 0;
    reconcile(evidence, action.evidence, (e) => e.resource, () => h("tr", {}, h("th", { scope: "row" }), ...Array.from({ length: 7 }, () => h("td", { class: "num" }))), (row, e) => updateEvidence(row, e, action.current));
    const entries = factsOf(action);
    reconcile(facts, entries, (f) => f.name, (f) => h("div", {}, h("dt", { text: f.name }), h("dd")), (item, f) => {
      if (f.at_ms === undefined) setText(item.lastChild, f.text);
      else {
        if (!item.lastChild.firstElementChild) item.lastChild.append(timeNode());
        setTime(item.lastChild.firstElementChild, f.at_ms, newest_ms);
      }
    });
  },
};

/** `serves` is what served when it was decided: a plan may have gone by another capacity. */
function updateEvidence(row, evidence, serves) {
  const unit = unitOf(evidence.resource);
  const q = (v) => quantity(v, unit);
  const served = serves[CAPACITY_OF[evidence.resource]];
  const label = served === undefined ? "" : q(served) === q(evidence.capacity) ? " (served)" : " (planned)";
  const texts = [kpiName(evidence.resource), duration(evidence.horizon_s), q(evidence.predicted), `${q(evidence.lower)} – ${q(evidence.upper)}`,
    number(evidence.relative_width), `${q(evidence.capacity)}${label}`, percent(evidence.capacity > 0 ? evidence.predicted / evidence.capacity : null), evidence.model];
  texts.forEach((text, i) => setText(row.children[i], text));
}

function factsOf(action) {
  const { result } = action;
  const facts = [
    { name: "Served then", text: capacityText(action.current) },
    { name: "Proposed", text: capacityText(action.desired) },
    { name: "Mechanism", text: { replicas: "number of replicas", limits: "limits in place", "instance-type": "instance type" }[action.mechanism] ?? action.mechanism },
    { name: "Mode", text: action.valid_until_ms <= action.decided_at_ms ? "withdrawn: it is not carried out any more" : action.dry_run ? "dry run: published, nothing is called" : "applied for real" },
    { name: "Void after", at_ms: action.valid_until_ms },
  ];
  if (result) {
    facts.push({ name: "Answered", at_ms: result.at_ms });
    if (result.effective_at_ms != null) facts.push({ name: "In effect from", at_ms: result.effective_at_ms });
    if (result.why) facts.push({ name: result.outcome === "failed" ? "The cloud said" : "Because", text: result.why });
    if (result.request) {
      const { method, path, body, accepted } = result.request;
      const answer = accepted == null ? "not asked" : accepted ? "would take it" : "would refuse it";
      facts.push({ name: "Request", text: `${method} ${path} ${body}` }, { name: "The cloud", text: answer });
    }
    if (result.outcome === "failed") facts.push({ name: "Trying again", text: result.retryable ? "can help" : "will not help" });
    if (result.outcome === "applied") facts.push({ name: "Capacity after", text: capacityText(result.after) });
    if (result.price_per_h != null) facts.push({ name: "Price after", text: `${number(result.price_per_h)} per hour` });
  }
  facts.push({ name: "Prediction", text: action.prediction_id });
  return facts;
}

/** All recent actions, newest first. */
export class ActionsView {
  constructor() {
    this.list = h("div", { class: "cards" });
    this.empty = h("div", { class: "empty", hidden: true }, h("h2", { text: "No action yet" }),
      h("p", {}, "There is an action when a forecast does not fit the capacity and neither a guardrail nor the governor holds it. ", h("code", { text: "prescale explain WORKLOAD" }), " says why one is left as it is; ", h("code", { text: "[planner]" }), " holds the policy's numbers."));
    this.note = h("p", { class: "muted pad" });
    this.node = h("section", { class: "panel", "aria-labelledby": "actions-title" }, h("h1", { id: "actions-title", text: "Actions" }), this.note, this.list, this.empty);
  }

  update({ actions, kept, newest_ms }) {
    this.empty.hidden = actions.length !== 0;
    setText(this.note, actions.length === 0 ? "" : `The newest ${number(actions.length)} of ${number(kept)} kept.`);
    reconcile(this.list, actions, (a) => a.id, () => actionCard.create(true), (node, a) => actionCard.update(node, a, newest_ms));
  }
}

export const actionsPath = `api/actions?limit=${POLL_LIMIT}`;
