// Routes, refreshes every two seconds while the page is seen, and the keys that work everywhere.

import { ActionsView, actionsPath } from "./actions.js";
import { ApiError, get, useToken } from "./api.js";
import { h, setAttr, setText } from "./dom.js";
import { FleetView } from "./fleet.js";
import { clock } from "./format.js";
import { GroupView, GroupsView } from "./groups.js";
import { updateStanding } from "./orders.js";
import { PipelineView, updateStrip } from "./pipeline.js";
import { WorkloadView } from "./workload.js";

const REFRESH_MS = 2000;
const main = document.getElementById("main");
const banner = document.getElementById("banner");
const live = document.getElementById("live");
const standing = document.getElementById("standing");
const strip = document.getElementById("strip");
const themeButton = document.getElementById("theme");
const help = document.getElementById("help");

const state = { rows: new Map(), meta: null, version: "", groups: null, actions: null, kept: 0, pipeline: null, orders: [], one: null, oneVersion: "" };
const views = { fleet: new FleetView(), groups: new GroupsView(), actions: new ActionsView(), pipeline: new PipelineView(), workload: new WorkloadView(), group: new GroupView() };
/** Views of one of many: what they are made of, where it is from, and where one goes back to. */
const ONE = { workload: { View: WorkloadView, path: "api/workloads", back: "#/fleet" }, group: { View: GroupView, path: "api/groups", back: "#/groups" } };
const isOne = (view) => Object.hasOwn(ONE, view);
let route = { view: "fleet", id: null, at: null };
let visited = null;
let generation = 0;
let timer = null;

function readRoute() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view = "", ...rest] = path.split("/");
  if (isOne(view) && rest.length > 0) {
    const at = new URLSearchParams(query).get("at");
    try {
      return { view, id: decodeURIComponent(rest.join("/")), at };
    } catch {
      return { view, id: rest.join("/"), at };
    }
  }
  return { view: Object.hasOwn(views, view) && !isOne(view) ? view : "fleet", id: null, at: null };
}

function show() {
  const previous = route;
  route = readRoute();
  const one = ONE[route.view];
  if (one && `${route.view}/${route.id}` !== visited) {
    visited = `${route.view}/${route.id}`;
    views[route.view] = new one.View();
    state.one = null;
    state.oneVersion = "";
  }
  if (route.view === "workload") views.workload.explain(route.id, route.at);
  const { node } = views[route.view];
  if (main.firstElementChild !== node) main.replaceChildren(node);
  document.title = `${one ? route.id : { fleet: "Fleet", groups: "Groups", actions: "Actions", pipeline: "Pipeline" }[route.view]} · Prescale`;
  for (const link of document.querySelectorAll("nav a")) setAttr(link, "aria-current", link.dataset.view === route.view ? "page" : null);
  draw();
  if (previous.view === "workload" && route.view === "fleet") views.fleet.focusRow(previous.id);
  else if (previous.view !== route.view || previous.id !== route.id) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  refresh();
}

function draw() {
  if (state.pipeline) updateStrip(strip, state.pipeline.stages);
  updateStanding(standing, state.orders);
  if (route.view === "fleet" && state.meta) views.fleet.update(state);
  if (route.view === "groups" && state.groups) views.groups.update(state.groups);
  if (route.view === "actions" && state.actions) views.actions.update({ actions: state.actions, kept: state.kept, newest_ms: state.meta?.newest_ms });
  if (route.view === "pipeline" && state.pipeline) views.pipeline.update(state.pipeline, state.orders, state.meta?.newest_ms);
  if (isOne(route.view) && state.one) views[route.view].update(state.one);
}

async function fetchFleet() {
  const answer = await get(`api/fleet?since=${encodeURIComponent(state.version)}`);
  if (answer === null) return;
  if (answer.full) state.rows = new Map();
  for (const row of answer.rows) state.rows.set(row.id, row);
  state.meta = answer;
  state.version = answer.version;
}

async function fetchActions() {
  const answer = await get(actionsPath);
  state.actions = answer.actions;
  state.kept = answer.kept;
}

async function fetchOne({ view, id }) {
  const isShown = () => route.view === view && route.id === id;
  try {
    const answer = await get(`${ONE[view].path}/${encodeURIComponent(id)}?since=${encodeURIComponent(state.oneVersion)}`);
    if (answer === null || !isShown()) return;
    state.one = answer;
    state.oneVersion = answer.version;
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 404) throw error;
    if (isShown()) views[view].showMissing(id, error.message);
  }
}

async function refresh() {
  clearTimeout(timer);
  const mine = (generation += 1);
  try {
    const wanted = [get("api/pipeline").then((p) => { state.pipeline = p; }), get("api/orders").then((o) => { state.orders = o.orders; })];
    if (isOne(route.view)) wanted.push(fetchOne(route));
    else if (route.view === "groups") wanted.push(get("api/groups").then((g) => { state.groups = g; }));
    else wanted.push(fetchFleet(), fetchActions());
    await Promise.all(wanted);
    if (mine !== generation) return;
    banner.hidden = true;
    setAttr(live, "class", "live on");
    setText(live, `Live ${clock(Date.now())}`);
    draw();
    setAttr(main, "data-ready", isOne(route.view) ? `${route.view}/${route.id}` : route.view);
  } catch (error) {
    if (mine !== generation) return;
    setAttr(live, "class", "live off");
    setText(live, "Not live");
    if (error instanceof ApiError && error.status === 401) return askToken();
    banner.hidden = false;
    setText(banner, `${error.message}. Trying again every ${REFRESH_MS / 1000} s; what is shown is from before.`);
  }
  if (!document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}

function askToken() {
  if (document.getElementById("token")) return;
  const input = h("input", { id: "token", type: "password", autocomplete: "current-password", required: true });
  const form = h("form", { class: "panel token-form", onsubmit: (event) => {
    event.preventDefault();
    useToken(input.value.trim());
    show();
  } }, h("h1", { text: "Token needed" }), h("p", {}, "This console is open to the network. Enter the token from ", h("code", { text: "[console] token" }), "."), h("label", { for: "token", text: "Token" }), input, h("button", { type: "submit", text: "Open" }));
  main.replaceChildren(form);
  input.focus();
}

function drawTheme() {
  const dark = window.prescaleTheme.current() === "dark";
  setText(themeButton, dark ? "☾" : "☀");
  setAttr(themeButton, "aria-label", dark ? "Theme: dark. Switch to light" : "Theme: light. Switch to dark");
  setAttr(themeButton, "title", `${dark ? "Switch to light" : "Switch to dark"} (t)`);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = event.target.matches("input, textarea, select");
  if (event.key === "Escape") {
    if (typing && event.target.id === "filter") {
      if (!views.fleet.clearFilter()) views.fleet.focusRow(null);
      event.preventDefault();
    } else if (route.view !== "fleet") location.hash = ONE[route.view]?.back ?? "#/fleet";
    else views.fleet.clearFilter();
    return;
  }
  if (event.key === "ArrowDown" && event.target.id === "filter") {
    event.preventDefault();
    views.fleet.focusRow(null);
    return;
  }
  if (typing) return;
  if (event.key === "/") {
    event.preventDefault();
    if (route.view !== "fleet") {
      location.hash = "#/fleet";
      addEventListener("hashchange", () => queueMicrotask(() => views.fleet.focusFilter()), { once: true });
    } else views.fleet.focusFilter();
  } else if (event.key === "t") window.prescaleTheme.toggle();
  else if (event.key === "?") help.showModal();
}

themeButton.addEventListener("click", () => window.prescaleTheme.toggle());
document.addEventListener("themechange", drawTheme);
document.getElementById("help-open").addEventListener("click", () => help.showModal());
document.addEventListener("keydown", onKey);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
addEventListener("hashchange", show);
drawTheme();
show();
