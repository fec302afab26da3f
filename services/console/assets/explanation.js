// Why the capacity was what it was at any instant that the log holds, in the words of `prescale explain`.

import { getText } from "./api.js";
import { h, setText } from "./dom.js";

/** An instant as the input has it, in UTC. */
const inputText = (at_ms) => new Date(at_ms).toISOString().slice(0, 19);

const rfc3339 = (input) => new Date(`${input}Z`).toISOString().replace(".000Z", "Z");

export class ExplanationPanel {
  constructor() {
    this.id = null;
    /** What is shown or being read; undefined for nothing. */
    this.asked = undefined;
    this.instant = h("input", { id: "explain-at", type: "datetime-local", step: "1", max: "9999-12-31T23:59:59", required: true });
    this.said = h("p", { class: "muted pad", role: "status" });
    this.text = h("pre", { class: "explanation", hidden: true });
    const form = h("form", { class: "order-form explain-form", onsubmit: (event) => {
      event.preventDefault();
      this.#choose(rfc3339(this.instant.value));
    } }, h("label", { for: "explain-at", text: "As of (date and time in UTC)" }), this.instant, h("button", { type: "submit", text: "Explain" }));
    this.node = h("section", { class: "panel", "aria-labelledby": "explain-title" }, h("h2", { id: "explain-title", text: "Why, at any instant" }), form, this.said, this.text);
    this.#say("");
  }

  /** Fills in an instant where there is none. */
  suggest(at_ms) {
    if (this.instant.value === "" && document.activeElement !== this.instant) this.instant.value = inputText(at_ms);
  }

  /** Shows the explanation of workload `id` as of `at`; none where that is `null`. */
  async show(id, at) {
    const asked = at === null ? null : `${id}\n${at}`;
    this.id = id;
    if (this.asked === asked) return;
    this.asked = asked;
    this.text.hidden = true;
    this.#say("");
    if (at === null) return;
    const at_ms = Date.parse(at);
    if (!Number.isNaN(at_ms)) this.instant.value = inputText(at_ms);
    this.#say("Reading the log …");
    try {
      const text = await getText(`api/workloads/${encodeURIComponent(id)}/explanation?format=text&at=${encodeURIComponent(at)}`);
      if (this.asked !== asked) return;
      setText(this.text, text);
      this.text.hidden = false;
      this.#say(`As of ${at}, by the rules that are configured now.`);
    } catch (error) {
      if (this.asked !== asked) return;
      this.asked = undefined;
      this.#say(error.message);
    }
  }

  /** Goes to the address that stands for `at`, or asks again where that is the present one. */
  #choose(at) {
    const hash = `#/workload/${encodeURIComponent(this.id)}?at=${at}`;
    if (location.hash === hash) this.show(this.id, at);
    else location.hash = hash;
  }

  #say(text) {
    setText(this.said, text);
    this.said.hidden = text === "";
  }
}
