// Texts in the reader's language. Keys stand literally in the calls, so that a test can find each of them.

import { memory } from "./dom.js";

export const LANGUAGES = { en: "English", de: "Deutsch" };

let language = "en";
let texts = {};

/** The language in use, as `lang` wants it. */
export const inUse = () => language;

/** The one remembered, else the browser's, else English. */
export function preferred() {
  const remembered = memory.get("language");
  if (remembered in LANGUAGES) return remembered;
  return navigator.languages.map((one) => one.slice(0, 2)).find((one) => one in LANGUAGES) ?? "en";
}

/** Load a language's texts and use them from now on. */
export async function use(name) {
  const answer = await fetch(`/static/${name}.json`);
  if (!answer.ok) throw new Error(`${name}.json: ${answer.status}`);
  texts = await answer.json();
  language = name;
  document.documentElement.lang = name;
}

/** The text of a key with its `{places}` filled. */
export function t(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** The text of a name within a group, such as an error's code; null if there is none. */
export const known = (group, name, values) => (`${group}.${name}` in texts ? t(`${group}.${name}`, values) : null);

/** The text of a count: one of two keys, by the language's rule. */
export function counted(count, one, many, values = {}) {
  const form = new Intl.PluralRules(language).select(count);
  return t(form === "one" ? one : many, { count: count.toLocaleString(language), ...values });
}
