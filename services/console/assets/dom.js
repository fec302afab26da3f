// Building and updating the document in place, without innerHTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes, properties (`on…` handlers, `class`, `text`) and children. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same in the SVG namespace. */
export function s(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else setAttr(node, name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Sets an attribute, or removes it for `null`, `undefined` and `false`. */
export function setAttr(node, name, value) {
  if (value === null || value === undefined || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

/** Sets the text when it differs, so that selections and screen readers are left alone. */
export function setText(node, text) {
  const wanted = text ?? "";
  if (node.textContent !== wanted) node.textContent = wanted;
}

const lists = new WeakMap();

/**
 * Makes `parent`'s children follow `items`: nodes are kept by key, made by `create(item)` and
 * brought up to date by `update(node, item, index)`. Focus survives a move.
 */
export function reconcile(parent, items, keyOf, create, update) {
  const before = lists.get(parent) ?? new Map();
  const after = new Map();
  const active = document.activeElement;
  const hadFocus = active !== null && parent.contains(active);
  let cursor = parent.firstElementChild;
  items.forEach((item, index) => {
    const key = keyOf(item, index);
    const node = before.get(key) ?? create(item);
    update(node, item, index);
    after.set(key, node);
    if (node === cursor) cursor = cursor.nextElementSibling;
    else parent.insertBefore(node, cursor);
  });
  for (const [key, node] of before) if (after.get(key) !== node) node.remove();
  lists.set(parent, after);
  if (hadFocus && document.activeElement !== active && parent.contains(active)) {
    active.focus({ preventScroll: true });
  }
}
