// A workload's state as text with a shape, so that colour alone never carries it.

import { h, s, setAttr, setText } from "./dom.js";

/** Order is by urgency; `path` is drawn in a box of 12 by 12. */
export const LEVELS = {
  short: { order: 0, text: "Runs short", path: "M6 1 L11.5 11 H0.5 Z" },
  tight: { order: 1, text: "May run short", path: "M6 0.5 L11.5 6 L6 11.5 L0.5 6 Z" },
  silent: { order: 2, text: "Silent", path: "M2 2 L10 10 M10 2 L2 10" },
  spare: { order: 3, text: "Spare", path: "M6 11 L0.5 1 H11.5 Z" },
  fits: { order: 4, text: "Fits", path: "M1 6 A5 5 0 1 1 11 6 A5 5 0 1 1 1 6 Z" },
  learning: { order: 5, text: "Learning", path: "M6 1 A5 5 0 1 1 1 6 M6 3.5 V6 L8 7.5" },
  observed: { order: 6, text: "Observed", path: "M0.8 6 C3 2.2 9 2.2 11.2 6 C9 9.8 3 9.8 0.8 6 Z M6 4.5 A1.5 1.5 0 1 0 6 7.5 A1.5 1.5 0 1 0 6 4.5" },
};

export const VERDICTS = {
  "scale-out": { text: "Scale out", path: "M6 1 L11.5 11 H0.5 Z" },
  "scale-in": { text: "Scale in", path: "M6 11 L0.5 1 H11.5 Z" },
  reshape: { text: "Reshape", path: "M6 0.5 L11.5 6 L6 11.5 L0.5 6 Z" },
};

export const OUTCOMES = {
  applied: { text: "Applied", path: "M1.5 6.5 L4.5 9.5 L10.5 2.5", open: true },
  "dry-run": { text: "Dry run", path: "M1 6 A5 5 0 1 1 11 6 A5 5 0 1 1 1 6", open: true },
  superseded: { text: "Superseded", path: "M1.5 6 H10 M7 3 L10 6 L7 9", open: true },
  failed: { text: "Failed", path: "M2 2 L10 10 M10 2 L2 10", open: true },
  waiting: { text: "No answer yet", path: "M2 6 H3 M5.5 6 H6.5 M9 6 H10", open: true },
};

export function glyph(path) {
  return s("svg", { class: "glyph", width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, s("path", { d: path ?? "" }));
}

/** A shape with a word, brought up to date by `setBadge`. */
export function badge() {
  return h("span", { class: "badge" }, glyph(), h("span"));
}

export function setBadge(node, group, key, title) {
  const entry = group[key] ?? { text: key, path: "" };
  setAttr(node, "class", `badge ${key}`);
  setAttr(node, "title", title ?? null);
  setAttr(node.firstChild.firstChild, "d", entry.path);
  setText(node.lastChild, entry.text);
}
