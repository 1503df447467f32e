// Elements without markup in strings: what comes from outside only ever becomes text or an attribute's value.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element: `h("button", { class: "big", onclick: act }, "Text")`. */
export const h = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

/** An SVG element, likewise. */
export const s = (tag, attributes = {}, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Put other children into an element, unless they are already there. */
export function replace(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Does this key belong to the element that has the focus, rather than to a shortcut? */
export function typing(event) {
  const target = event.target;
  if (event.ctrlKey || event.altKey || event.metaKey) return true;
  if (!(target instanceof HTMLElement)) return event.key.startsWith("Arrow") && target?.getAttribute?.("role") === "slider";
  if (target.matches("textarea, select")) return true;
  if (!target.matches("input")) return false;
  if (["checkbox", "radio", "button", "file"].includes(target.type)) return event.key === " ";
  if (target.type === "range") return /^(Arrow|Page|Home|End)/.test(event.key);
  return true;
}

/** Something small that this browser remembers. */
export const memory = {
  get(key, otherwise) {
    try {
      return localStorage.getItem(`onlygood.${key}`) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  set(key, value) {
    try {
      localStorage.setItem(`onlygood.${key}`, value);
    } catch {
      // A browser that remembers nothing still works.
    }
  },
};
