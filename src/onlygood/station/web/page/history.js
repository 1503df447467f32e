// History: what the record holds, filtered, by time or by score.

import { address, get } from "./api.js";
import { h, replace } from "./dom.js";
import { moment } from "./format.js";
import { counted, t } from "./i18n.js";
import { scoreBar, thumbnail } from "./parts.js";
import { answered, sign, word } from "./verdicts.js";

const AT_ONCE = 60;

/** What a date and time input holds, as the station wants it. */
const instant = (text) => (text ? new Date(text).toISOString() : "");

export class History {
  constructor(context, query = {}) {
    this.context = context;
    this.found = [];
    const verdict = (name) => h("label", { class: "check" }, h("input", { type: "checkbox", name: "verdict", value: name, checked: [query.verdict].flat().includes(name) }), sign(name));
    const choice = (name, label, options) => h("label", { class: "field" }, label, h("select", { name }, options.map(([value, text]) => h("option", { value, selected: query[name] === value }, text))));
    const input = (name, label, attributes) => h("label", { class: "field" }, label, h("input", { name, autocomplete: "off", value: query[name] ?? "", ...attributes }));
    this.name = input("name", t("history.name"), { type: "search", maxlength: 200 });
    this.form = h(
      "form",
      { class: "filters panel", "aria-label": t("history.filters"), onsubmit: (event) => event.preventDefault(), oninput: () => this.#soon(), onreset: () => setTimeout(() => this.#soon(0)) },
      h("fieldset", {}, h("legend", {}, t("history.verdict")), ["OK", "REVIEW", "NG"].map(verdict)),
      choice("answered", t("history.answered"), [["", t("history.any")], ["ok", t("history.answered-as", { answer: word("OK") })], ["ng", t("history.answered-as", { answer: word("NG") })], ["no", t("history.unanswered")]]),
      this.name,
      input("since", t("history.since"), { type: "datetime-local" }),
      input("until", t("history.until"), { type: "datetime-local" }),
      h("div", { class: "pair" }, input("min_score", t("history.min-score"), { type: "number", step: "any" }), input("max_score", t("history.max-score"), { type: "number", step: "any" })),
      choice("order", t("history.order"), [["newest", t("history.newest")], ["oldest", t("history.oldest")], ["score", t("history.by-score")]]),
      h("div", { class: "row" }, h("button", { type: "reset" }, t("history.reset")), (this.csv = h("a", { class: "button", download: "decisions.csv" }, t("history.csv")))),
    );
    this.told = h("p", { class: "soft", role: "status" });
    this.list = h("ul", { class: "results" });
    this.more = h("button", { type: "button", class: "more", hidden: true, onclick: () => this.load(this.cursor) }, t("history.more"));
    this.element = h("section", { class: "history", "aria-label": t("nav.history") }, this.form, h("div", { class: "found" }, this.told, this.list, this.more));
  }

  async start() {
    await this.load();
  }

  stop() {
    clearTimeout(this.timer);
    this.loading?.abort();
  }

  async load(cursor = null) {
    this.loading?.abort();
    this.loading = new AbortController();
    const query = this.#query();
    this.csv.href = address("/decisions.csv", query);
    let table;
    try {
      table = await get("/decisions", { ...query, limit: AT_ONCE, cursor }, this.loading.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.context.fail(error);
      return;
    }
    this.cursor = table.next;
    this.found = cursor === null ? table.decisions : [...this.found, ...table.decisions];
    this.more.hidden = table.next === null;
    this.told.textContent = table.next === null ? counted(this.found.length, "history.found-one", "history.found-many") : t("history.first", { count: this.found.length });
    this.#draw();
  }

  key(event) {
    if (event.key !== "/") return false;
    this.name.querySelector("input").focus();
    return true;
  }

  #changed(answered) {
    this.found = this.found.map((decision) => answered.get(decision.id) ?? decision);
    if (answered.size) this.#draw();
  }

  #draw() {
    replace(this.list, this.found.map((decision) => this.#row(decision)));
  }

  #row(decision) {
    const open = () => this.context.open(decision, this.found, (changed) => this.#changed(changed));
    return h(
      "li",
      {},
      thumbnail(decision, open),
      h(
        "div",
        { class: "about" },
        h("p", { class: "line" }, sign(decision.verdict), answered(decision)),
        h("p", { class: "name" }, decision.name || "–"),
        scoreBar(decision, { slim: true }),
        h("p", { class: "soft" }, `${moment(decision.time)} · ${decision.recipe}`),
      ),
    );
  }

  #query() {
    const form = new FormData(this.form);
    const chosen = form.get("answered");
    return {
      recipe: this.context.recipe,
      verdict: form.getAll("verdict"),
      answered: chosen === "no" ? false : "",
      answer: { ok: "OK", ng: "NG" }[chosen] ?? "",
      name: form.get("name").trim(),
      since: instant(form.get("since")),
      until: instant(form.get("until")),
      min_score: form.get("min_score"),
      max_score: form.get("max_score"),
      order: form.get("order"),
    };
  }

  #soon(wait = 250) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), wait);
  }
}
