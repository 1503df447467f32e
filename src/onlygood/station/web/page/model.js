// Model: what is on duty, its thresholds, what came before it, and what may come next.

import { address, get, ofRecipe, post, putBytes } from "./api.js";
import { Candidates } from "./candidates.js";
import { h, replace } from "./dom.js";
import { moment, score, short } from "./format.js";
import { t } from "./i18n.js";
import { ThresholdEditor } from "./thresholds.js";
import { word } from "./verdicts.js";

export class Model {
  constructor(context) {
    this.context = context;
    this.recipe = context.oneRecipe();
    this.element = h("section", { class: "model", "aria-label": t("nav.model") });
    if (!this.recipe) {
      replace(this.element, h("p", { class: "soft" }, t("no-recipe")));
      return;
    }
    this.head = h("div", { class: "panel duty" });
    this.activations = h("div");
    this.thresholds = new ThresholdEditor(context, this.recipe, () => this.refresh());
    this.candidates = new Candidates(context, this.recipe, () => this.refresh(true));
    this.upload = h("input", { type: "file", id: "upload", accept: ".og", onchange: () => this.#upload() });
    replace(
      this.element,
      h("div", { class: "two head" }, this.head, h("div", { class: "panel" }, h("h2", {}, t("model.activations")), this.activations)),
      this.thresholds.element,
      this.candidates.element,
    );
  }

  async start() {
    if (!this.recipe) return;
    // One part that cannot be had does not take the others along.
    await Promise.all([this.refresh(), this.thresholds.load().catch(this.context.fail), this.candidates.load().catch(this.context.fail)]);
  }

  stop() {
    this.thresholds?.close();
    this.candidates?.close();
  }

  async refresh(all = false) {
    await this.context.attempt(async () => {
      await this.context.readRecipes();
      const { activations } = await get(ofRecipe(this.recipe, "/activations"));
      this.#draw(this.context.recipeInfo(this.recipe), activations);
      if (all) await Promise.all([this.thresholds.load(), this.candidates.load()]);
    });
  }

  #draw(recipe, activations) {
    const may = this.context.may("engineer");
    const rows = [
      [t("model.file"), h("code", { title: recipe.model }, short(recipe.model))],
      [t("model.method"), recipe.method ?? "–"],
      [t("model.since"), moment(recipe.since)],
      [t("model.ng-above", { verdict: word("NG") }), score(recipe.thresholds.ng)],
      [t("model.review-above", { verdict: word("REVIEW") }), score(recipe.thresholds.review)],
    ];
    replace(
      this.head,
      h("h1", {}, t("model.title", { recipe: this.recipe })),
      recipe.problem ? h("p", { class: "warning" }, t("model.problem", { problem: recipe.problem })) : null,
      h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
      may ? h("label", { class: "button upload", for: "upload" }, t("model.upload")) : null,
      may ? this.upload : null,
    );
    replace(
      this.activations,
      h(
        "ol",
        { class: "activations" },
        activations.slice(0, 8).map((one, index) =>
          h(
            "li",
            { class: index ? "" : "on" },
            h("p", {}, h("b", {}, moment(one.time)), " ", h("code", { title: one.model }, short(one.model))),
            h("p", { class: "soft" }, t("model.limits", { ng: score(one.thresholds.ng), review: score(one.thresholds.review), who: one.who || "–" }), one.why ? h("q", {}, one.why) : null),
          ),
        ),
      ),
      may && activations.length > 1 ? h("button", { type: "button", onclick: () => this.#rollBack(activations[1]) }, t("model.roll-back")) : null,
    );
  }

  async #rollBack(before) {
    const question = t("model.roll-back-sure", { model: short(before.model), ng: score(before.thresholds.ng), review: score(before.thresholds.review), time: moment(before.time) });
    if (!(await this.context.sure(question, t("model.roll-back")))) return;
    if (await this.context.attempt(() => post(ofRecipe(this.recipe, "/rollback")))) {
      this.context.say(t("model.rolled-back"));
      await this.refresh(true);
    }
  }

  async #upload() {
    const [file] = this.upload.files;
    this.upload.value = "";
    if (!file) return;
    const why = await this.context.sure(t("model.upload-sure", { name: file.name, recipe: this.recipe }), t("model.upload-do"), t("model.why"));
    if (!why) return;
    if (await this.context.attempt(() => putBytes(address(ofRecipe(this.recipe, "/model"), { why }), file))) {
      this.context.say(t("model.activated"));
      await this.refresh(true);
    }
  }
}
