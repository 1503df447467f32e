// Review: one part at a time, the oldest first, answered with one key.

import { get, ofDecision, post } from "./api.js";
import { h, memory, replace } from "./dom.js";
import { moment } from "./format.js";
import { counted, t } from "./i18n.js";
import { regionList, scoreBar } from "./parts.js";
import { Picture, stepOpacity, toggleRegions } from "./picture.js";
import { sign, symbol, word } from "./verdicts.js";

const AHEAD = 50;
const LOOK_MS = 200; // a part must have been on the screen so long: a key pressed twice answers one part, not two

export class Review {
  constructor(context) {
    this.context = context;
    this.queue = []; // unanswered, oldest first
    this.at = 0;
    this.done = []; // answered here, the latest last
    this.again = null; // an answered part that is being answered again
    this.waiting = null;
    this.busy = false;
    this.withNg = memory.get("review-ng", "no") === "yes";
    this.picture = new Picture();
    const may = context.may("operate");
    this.count = h("p", { class: "waiting", role: "status" });
    this.about = h("div", { class: "about" });
    this.told = h("p", { class: "told", role: "status", "aria-live": "polite" });
    const written = (event) => ["Enter", "Escape"].includes(event.key) && this.comment.blur();
    this.comment = h("input", { onkeydown: written, type: "text", id: "comment", maxlength: 500, autocomplete: "off", placeholder: t("review.comment"), "aria-label": t("review.comment") });
    this.ok = this.#button("OK", "O");
    this.ng = this.#button("NG", "N");
    this.back = h("button", { type: "button", onclick: () => this.move(-1) }, `← ${t("review.previous")}`);
    this.next = h("button", { type: "button", onclick: () => this.move(1) }, `${t("review.skip")} →`);
    this.undo = h("button", { type: "button", onclick: () => this.anew() }, t("review.undo"), h("kbd", {}, "U"));
    this.ngToo = h("input", { type: "checkbox", onchange: () => this.#choose() });
    this.ngToo.checked = this.withNg;
    this.panel = h(
      "div",
      { class: "side panel" },
      this.count,
      h("label", { class: "check" }, this.ngToo, t("review.with-ng")),
      this.about,
      may ? h("div", { class: "answers" }, this.ok, this.ng) : h("p", { class: "soft" }, t("review.view-only")),
      may ? h("div", { class: "comment" }, this.comment, h("kbd", {}, "C")) : null,
      h("div", { class: "moves" }, this.back, may ? this.undo : null, this.next),
      this.told,
    );
    this.element = h("section", { class: "reviewing", "aria-label": t("nav.review") }, h("div", { class: "panel" }, this.picture.element), this.panel);
  }

  async start() {
    await this.load();
  }

  stop() {
    this.picture.close();
  }

  async load() {
    const query = { recipe: this.context.recipe, verdict: this.#verdicts(), answered: false, order: "oldest", limit: AHEAD };
    const { decisions } = await get("/decisions", query);
    const current = this.queue[this.at]?.id;
    this.queue = decisions;
    this.at = Math.max(0, decisions.findIndex((one) => one.id === current));
    await this.counts();
    this.#draw();
  }

  async counts() {
    const table = await get("/statistics", { recipe: this.context.recipe });
    this.waiting = this.withNg ? null : table.to_review;
    this.#count();
  }

  decision(decision) {
    if (this.context.recipe && decision.recipe !== this.context.recipe) return;
    if (!this.#verdicts().includes(decision.verdict) || this.queue.some((one) => one.id === decision.id)) return;
    if (this.waiting !== null) this.waiting += 1;
    if (this.queue.length < AHEAD) this.queue.push(decision);
    if (this.queue.length === 1 && !this.again) this.#draw();
    else this.#count();
  }

  connection(connected) {
    if (connected) this.load().catch(this.context.fail);
  }

  move(step) {
    if (this.again) {
      this.again = null;
    } else {
      const to = this.at + step;
      if (to < 0 || to >= this.queue.length) return;
      this.at = to;
    }
    this.#draw();
  }

  /** Take the part answered last back onto the screen. */
  anew() {
    const before = this.again ? this.done.indexOf(this.again) - 1 : this.done.length - 1;
    if (before < 0) return;
    this.again = this.done[before];
    this.#draw();
  }

  async answer(answer) {
    const decision = this.again ?? this.queue[this.at];
    if (!decision || this.busy || !this.seen || !this.context.may("operate")) return;
    this.#busy(true);
    try {
      await post(ofDecision(decision.id, "/answer"), { answer, comment: this.comment.value.trim() });
    } catch (error) {
      this.context.fail(error);
      return;
    } finally {
      this.#busy(false);
    }
    this.comment.value = "";
    const settled = { ...decision, answer: { answer, who: this.context.who } };
    if (this.again) {
      this.done[this.done.indexOf(this.again)] = settled;
      this.again = null;
    } else {
      this.done.push(settled);
      this.queue.splice(this.at, 1);
      if (this.at >= this.queue.length) this.at = 0;
      if (this.waiting !== null) this.waiting = Math.max(0, this.waiting - 1);
    }
    replace(this.told, symbol(answer), t("review.saved", { name: decision.name, answer: word(answer) }));
    this.told.className = `told ${answer.toLowerCase()}`;
    this.#draw();
    if (!this.queue.length) await this.load().catch(this.context.fail);
  }

  key(event) {
    const act = {
      o: () => this.answer("OK"), n: () => this.answer("NG"), u: () => this.anew(), c: () => this.comment.focus(), b: toggleRegions,
      arrowleft: () => this.move(-1), arrowright: () => this.move(1), "+": () => stepOpacity(1), "-": () => stepOpacity(-1),
    }[event.key.toLowerCase()];
    if (!act || event.repeat) return false;
    act();
    return true;
  }

  #button(answer, key) {
    const button = h("button", { type: "button", class: `answer ${answer.toLowerCase()}`, onclick: () => this.answer(answer) }, symbol(answer), h("span", { class: "word" }, word(answer)), h("kbd", {}, key));
    return button;
  }

  #verdicts() {
    return this.withNg ? ["REVIEW", "NG"] : ["REVIEW"];
  }

  #choose() {
    this.withNg = this.ngToo.checked;
    memory.set("review-ng", this.withNg ? "yes" : "no");
    this.load().catch(this.context.fail);
  }

  #busy(now) {
    this.busy = now;
    for (const button of [this.ok, this.ng]) button.disabled = now;
  }

  #count() {
    const known = this.waiting ?? this.queue.length;
    const more = this.waiting === null && this.queue.length === AHEAD;
    replace(this.count, more ? t("review.at-least", { count: AHEAD }) : counted(known, "review.waiting-one", "review.waiting-many"));
    this.next.disabled = !this.again && this.at + 1 >= this.queue.length;
    this.back.disabled = !this.again && this.at === 0;
    this.undo.disabled = this.again ? this.done.indexOf(this.again) === 0 : this.done.length === 0;
  }

  async #look(decision) {
    this.seen = false;
    delete this.panel.dataset.seen;
    if (!(await this.picture.show(decision))) return;
    setTimeout(() => {
      if (this.picture.decision?.id !== decision.id) return;
      this.seen = true;
      this.panel.dataset.seen = decision.id;
    }, LOOK_MS);
  }

  #draw() {
    this.#count();
    const decision = this.again ?? this.queue[this.at];
    for (const button of [this.ok, this.ng]) button.hidden = !decision;
    this.comment.parentElement?.toggleAttribute("hidden", !decision);
    this.panel.classList.toggle("again", Boolean(this.again));
    if (!decision) {
      this.picture.clear(t("review.none"));
      replace(this.about);
      return;
    }
    this.#look(decision);
    const first = this.queue[this.at + 1];
    if (first?.picture && !this.again) new Image().src = ofDecision(first.id, "/image?display=true");
    replace(
      this.about,
      this.again ? h("p", { class: "again-note" }, t("review.again", { answer: word(this.again.answer.answer) })) : null,
      h("h2", { class: "part-name" }, decision.name || "–"),
      h("p", { class: "soft" }, sign(decision.verdict), ` ${t("review.when", { time: moment(decision.time), recipe: decision.recipe })}`),
      scoreBar(decision),
      regionList(decision, this.picture),
    );
  }
}
