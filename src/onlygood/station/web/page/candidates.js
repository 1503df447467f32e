// Candidate models from confirmed-good parts, and the golden set that is their gate.

import { get, ofRecipe, post, remove } from "./api.js";
import { h, replace } from "./dom.js";
import { moment, score, short, whole } from "./format.js";
import { counted, t } from "./i18n.js";
import { limits } from "./parts.js";
import { sign, symbol } from "./verdicts.js";

/** What the station says in its own words. */
const remarks = (texts) => (texts.length ? h("ul", { class: "remarks", lang: "en" }, texts.map((text) => h("li", {}, text))) : null);

export class Candidates {
  constructor(context, recipe, changed) {
    this.context = context;
    this.recipe = recipe;
    this.changed = changed;
    this.candidates = h("div", { class: "stack" });
    this.golden = h("ul", { class: "golden" });
    this.count = h("p", { class: "soft" });
    this.element = h(
      "div",
      { class: "two" },
      h("div", { class: "panel" }, h("h2", {}, t("candidates.title")), h("p", { class: "soft" }, t("candidates.what")), this.candidates),
      h("div", { class: "panel" }, h("h2", {}, t("golden.title")), h("p", { class: "soft" }, t("golden.what")), this.count, this.golden),
    );
  }

  async load() {
    await Promise.all([this.#candidates(), this.#golden()]);
  }

  close() {
    clearTimeout(this.timer);
  }

  async #candidates() {
    clearTimeout(this.timer);
    const table = await get(ofRecipe(this.recipe, "/candidates"));
    const running = table.state === "running";
    if (running) this.timer = setTimeout(() => this.#candidates().catch(() => {}), 1000);
    else if (this.running) this.changed();
    this.running = running;
    const may = this.context.may("operate");
    replace(
      this.candidates,
      running
        ? h("div", { class: "progress" }, h("p", {}, t("candidates.running", { stage: table.stage ?? "" })), h("progress", { max: Math.max(1, table.total ?? 1), value: table.done ?? 0, "aria-label": t("candidates.title") }))
        : [
            remarks(table.notes ?? []),
            table.state === "failed" ? h("p", { class: "warning" }, t("candidates.failed", { error: table.error ?? "" })) : null,
            h("p", {}, counted(table.waiting ?? 0, "candidates.waiting-one", "candidates.waiting-many")),
            may ? h("div", {}, h("button", { type: "button", disabled: !table.waiting, onclick: () => this.#build() }, t("candidates.build"))) : null,
          ],
      table.candidates.map((one) => this.#candidate(one)),
    );
  }

  #candidate(one) {
    const { gate } = one;
    const wrong = gate.outcomes.filter((outcome) => !outcome.passed).length;
    const outcomes = h(
      "details",
      {},
      h("summary", {}, counted(gate.outcomes.length, "candidates.outcomes-one", "candidates.outcomes-many", { wrong })),
      h(
        "ul",
        { class: "golden" },
        [...gate.outcomes].sort((a, b) => a.passed - b.passed).map((outcome) =>
          h(
            "li",
            { class: outcome.passed ? "" : "wrong" },
            this.#image(outcome),
            h("p", { class: "name" }, outcome.name || short(outcome.digest)),
            h("p", { class: "line" }, outcome.truth === "good" ? t("golden.good") : t("golden.defect"), " → ", outcome.then ? [sign(outcome.then.verdict), h("small", {}, score(outcome.then.score))] : "–"),
          ),
        ),
      ),
    );
    outcomes.open = !one.passed;
    return h(
      "article",
      { class: `candidate ${one.passed ? "good" : "bad"}` },
      h("h3", {}, symbol(one.passed ? "OK" : "NG"), one.passed ? t("candidates.passed") : t("candidates.failed-gate")),
      h("p", {}, t("candidates.made", { time: moment(one.time), model: short(one.model), added: whole(one.added), images: whole(one.images) })),
      h("p", {}, t("candidates.gate", { escapes: whole(gate.escapes), rejects: whole(gate.false_rejects), allowed: whole(gate.allowed_false_rejects) })),
      one.thresholds ? h("p", {}, t("candidates.thresholds", { limits: limits(one.thresholds) })) : null,
      remarks([...gate.reasons, ...one.warnings, ...gate.notes]),
      outcomes,
      one.on_duty
        ? h("p", { class: "soft" }, t("candidates.on-duty"))
        : one.passed && this.context.may("engineer")
          ? h("div", {}, h("button", { type: "button", class: "primary", onclick: () => this.#activate(one) }, t("candidates.activate")))
          : null,
    );
  }

  #image({ digest }) {
    const image = h("img", { src: ofRecipe(this.recipe, `/golden/${encodeURIComponent(digest)}/image`), alt: "", loading: "lazy", onerror: () => image.replaceWith(h("span", { class: "blank" })) });
    return image;
  }

  async #golden() {
    const { golden } = await get(ofRecipe(this.recipe, "/golden"));
    const good = golden.filter((one) => one.truth === "good").length;
    this.count.textContent = golden.length ? t("golden.count", { good: whole(good), defect: whole(golden.length - good) }) : t("golden.none");
    replace(
      this.golden,
      golden.map((one) =>
        h(
          "li",
          {},
          this.#image(one),
          h("p", { class: "name" }, one.name || short(one.digest)),
          h(
            "p",
            { class: `line ${one.truth}` },
            symbol(one.truth === "good" ? "OK" : "NG"),
            one.truth === "good" ? t("golden.good") : t("golden.defect"),
            this.context.may("engineer") ? h("button", { type: "button", class: "small", "aria-label": t("golden.remove", { name: one.name }), onclick: () => this.#remove(one) }, "×") : null,
          ),
        ),
      ),
    );
  }

  async #build() {
    await this.context.attempt(() => post(ofRecipe(this.recipe, "/candidates")));
    await this.context.attempt(() => this.#candidates());
  }

  async #activate(one) {
    if (!(await this.context.sure(t("candidates.sure", { model: short(one.model), recipe: this.recipe }), t("candidates.activate")))) return;
    if (await this.context.attempt(() => post(ofRecipe(this.recipe, `/candidates/${one.model}/activate`)))) {
      this.context.say(t("model.activated"));
      this.changed();
    }
  }

  async #remove(one) {
    if (!(await this.context.sure(t("golden.sure", { name: one.name || short(one.digest) }), t("golden.take-out")))) return;
    await this.context.attempt(() => remove(ofRecipe(this.recipe, `/golden/${encodeURIComponent(one.digest)}`)));
    await this.context.attempt(() => this.#golden());
  }
}
