// One part in full, in a dialog over any view: image, facts, answers, and what may be done with it.

import { get, ofDecision, ofRecipe, post } from "./api.js";
import { h, replace } from "./dom.js";
import { moment } from "./format.js";
import { t } from "./i18n.js";
import { facts, regionList, scoreBar } from "./parts.js";
import { Picture, stepOpacity, toggleRegions } from "./picture.js";
import { symbol, word } from "./verdicts.js";

export class Detail {
  constructor(context) {
    this.context = context;
    this.picture = new Picture();
    this.title = h("h2", { class: "part-name", id: "detail-title", tabindex: -1 });
    this.body = h("div", { class: "detail-body" });
    this.back = h("button", { type: "button", onclick: () => this.move(-1), "aria-label": t("detail.previous") }, "←");
    this.next = h("button", { type: "button", onclick: () => this.move(1), "aria-label": t("detail.next") }, "→");
    this.element = h(
      "dialog",
      { class: "detail", "aria-labelledby": "detail-title", onclose: () => this.#closed(), onkeydown: (event) => this.#key(event) },
      h("header", {}, this.title, this.back, this.next, h("button", { type: "button", class: "close", onclick: () => this.element.close() }, t("close"))),
      h("div", { class: "detail-grid" }, this.picture.element, this.body),
    );
  }

  /** Show a part; `others` are what the arrow keys move through. */
  async open(decision, others = [decision]) {
    this.others = others;
    this.answeredHere = new Map();
    if (!this.element.open) this.element.showModal();
    this.title.focus();
    await this.#load(decision.id);
  }

  move(step) {
    const to = this.others[this.others.findIndex((one) => one.id === this.decision?.id) + step];
    if (to) this.#load(to.id);
  }

  async #load(id) {
    try {
      this.#draw(await get(ofDecision(id)));
    } catch (error) {
      this.context.fail(error);
    }
  }

  #draw(decision) {
    this.decision = decision;
    this.title.textContent = decision.name || "–";
    const at = this.others.findIndex((one) => one.id === decision.id);
    this.back.disabled = at <= 0;
    this.next.disabled = at + 1 >= this.others.length;
    this.picture.show(decision);
    const answers = decision.answers ?? [];
    replace(
      this.body,
      scoreBar(decision),
      h("h3", {}, t("detail.regions")),
      regionList(decision, this.picture),
      h("h3", {}, t("detail.facts")),
      facts(decision),
      h("h3", {}, t("detail.answers")),
      answers.length
        ? h("ul", { class: "plain" }, answers.map((one) => h("li", {}, symbol(one.answer), " ", t("detail.answer", { answer: word(one.answer), who: one.who || "–", time: moment(one.time) }), one.comment ? h("q", {}, one.comment) : null)))
        : h("p", { class: "soft" }, t("detail.no-answers")),
      this.context.may("operate")
        ? h("div", { class: "row" }, h("button", { type: "button", onclick: () => this.#answer("OK") }, t("detail.say-ok")), h("button", { type: "button", onclick: () => this.#answer("NG") }, t("detail.say-ng")))
        : null,
      this.context.may("engineer") && decision.picture
        ? [
            h("h3", {}, t("detail.golden")),
            h("p", { class: "soft" }, t("detail.golden-why")),
            h("div", { class: "row" }, h("button", { type: "button", onclick: () => this.#golden("good") }, t("detail.golden-good")), h("button", { type: "button", onclick: () => this.#golden("defect") }, t("detail.golden-defect"))),
          ]
        : null,
    );
  }

  async #answer(answer) {
    try {
      await post(ofDecision(this.decision.id, "/answer"), { answer, comment: "" });
      await this.#load(this.decision.id);
      this.answeredHere.set(this.decision.id, this.decision);
    } catch (error) {
      this.context.fail(error);
    }
  }

  async #golden(truth) {
    try {
      await post(ofRecipe(this.decision.recipe, "/golden"), { decision_id: this.decision.id, truth });
      this.context.say(truth === "good" ? t("detail.golden-added-good") : t("detail.golden-added-defect"));
    } catch (error) {
      this.context.fail(error);
    }
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input")) return;
    if (event.key === "ArrowLeft") this.move(-1);
    else if (event.key === "ArrowRight") this.move(1);
    else if (event.key === "+") stepOpacity(1);
    else if (event.key === "-") stepOpacity(-1);
    else if (event.key === "b") toggleRegions();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  #closed() {
    this.picture.clear();
    this.onclosed?.(this.answeredHere);
  }
}
