// The thresholds on the scores of the good parts, and what moving them would have done, before it is done.

import { get, ofRecipe, post, put } from "./api.js";
import { chart, histogram, legend, span } from "./charts.js";
import { h, replace, s } from "./dom.js";
import { percent, score, typed, whole } from "./format.js";
import { t } from "./i18n.js";
import { sign, word } from "./verdicts.js";

const LAST = 500;
const HEIGHT = 320;
const STEPS = 200; // of a key press, over the chart

export class ThresholdEditor {
  constructor(context, recipe, changed) {
    this.context = context;
    this.recipe = recipe;
    this.changed = changed;
    this.seen = null; // the thresholds whose effect has been looked at
    const may = context.may("engineer");
    this.chart = chart((width) => this.#draw(width), t("model.histogram"));
    this.fields = {};
    for (const name of ["review", "ng"]) {
      this.fields[name] = h("input", { type: "number", step: "any", required: true, id: `threshold-${name}`, oninput: () => this.#typed(), disabled: !may });
    }
    this.why = h("input", { type: "text", id: "why", maxlength: 500, autocomplete: "off", oninput: () => this.#buttons() });
    this.previewing = h("button", { type: "button", onclick: () => this.preview() }, t("model.preview"));
    this.apply = h("button", { type: "button", class: "primary", disabled: true, onclick: () => this.#apply() }, t("model.apply"));
    this.reset = h("button", { type: "button", onclick: () => this.#reset() }, t("model.reset"));
    this.hint = h("p", { class: "soft", id: "apply-hint" });
    this.apply.setAttribute("aria-describedby", "apply-hint");
    this.result = h("div", { class: "result", role: "status" });
    this.legend = h("div");
    this.promise = h("p", { class: "soft" });
    this.element = h(
      "div",
      { class: "panel thresholds" },
      h("h2", {}, t("model.histogram")),
      this.promise,
      this.legend,
      this.chart.element,
      h(
        "div",
        { class: "controls" },
        h("label", { class: "field" }, h("span", {}, t("model.review-above", { verdict: word("REVIEW") })), this.fields.review),
        h("label", { class: "field" }, h("span", {}, t("model.ng-above", { verdict: word("NG") })), this.fields.ng),
        may ? [this.previewing, this.reset] : null,
      ),
      may ? this.result : h("p", { class: "soft" }, t("model.view-only")),
      may ? h("div", { class: "controls apply" }, h("label", { class: "field grow" }, t("model.why"), this.why), this.apply) : null,
      may ? this.hint : null,
    );
  }

  async load() {
    this.table = await get(ofRecipe(this.recipe, "/histogram"), { last: LAST });
    this.#reset();
  }

  close() {
    this.chart.close();
  }

  /** Ask what these thresholds would have done. */
  async preview() {
    const wanted = this.#wanted();
    if (!wanted) return;
    this.previewing.disabled = true;
    try {
      const table = await post(ofRecipe(this.recipe, "/thresholds/preview"), { ...wanted, last: LAST });
      if (JSON.stringify(wanted) !== JSON.stringify(this.#wanted())) return;
      this.seen = wanted;
      replace(this.result, effect(table));
      this.result.scrollIntoView({ block: "nearest" });
    } catch (error) {
      this.context.fail(error);
    } finally {
      this.#buttons();
    }
  }

  #reset() {
    this.value = { ...this.table.thresholds };
    const { calibration, recent } = this.table;
    this.span = span([calibration, recent.map((one) => one.score)], [this.value.ng, this.value.review]);
    this.promise.textContent = this.table.promise ?? "";
    this.promise.lang = "en";
    replace(
      this.legend,
      legend([["calibration", t("model.calibration", { count: whole(calibration.length) })], ["recent outline", t("model.recent", { count: whole(recent.length) })], ["threshold-mark", t("model.lines")]]),
    );
    this.#fill();
    this.#forget();
    this.chart.paint();
  }

  #fill() {
    for (const name of ["review", "ng"]) this.fields[name].value = typed(this.value[name]);
  }

  #forget() {
    this.seen = null;
    replace(this.result);
    this.#buttons();
  }

  #wanted() {
    const [ng, review] = [this.fields.ng, this.fields.review].map((field) => field.valueAsNumber);
    return Number.isFinite(ng) && Number.isFinite(review) && review <= ng ? { ng, review } : null;
  }

  #same(one, other) {
    return one && other && typed(one.ng) === typed(other.ng) && typed(one.review) === typed(other.review);
  }

  #buttons() {
    const wanted = this.#wanted();
    const moved = wanted && !this.#same(wanted, this.table.thresholds);
    const looked = wanted && this.#same(wanted, this.seen);
    this.previewing.disabled = !moved || looked;
    this.reset.disabled = Boolean(wanted) && !moved;
    this.apply.disabled = !(moved && looked && this.why.value.trim());
    const filled = this.fields.ng.value && this.fields.review.value;
    this.hint.textContent = !wanted && filled ? t("model.hint-order") : !moved ? t("model.hint-move") : !looked ? t("model.hint-preview") : this.why.value.trim() ? "" : t("model.hint-why");
  }

  #typed() {
    const wanted = this.#wanted();
    if (wanted) {
      this.value = wanted;
      this.chart.paint();
    }
    this.#forget();
  }

  #move(name, value) {
    const [low, high] = this.span;
    let to = Math.min(high, Math.max(low, Number(value.toPrecision(5))));
    if (name === "review" && this.value.ng !== null) to = Math.min(to, this.value.ng);
    if (name === "ng" && this.value.review !== null) to = Math.max(to, this.value.review);
    this.value = { ...this.value, [name]: to };
    this.#fill();
    this.#forget();
    this.chart.paint();
    this.chart.element.querySelector(`.handle.${name}`)?.focus({ preventScroll: true });
  }

  async #apply() {
    this.apply.disabled = true;
    try {
      await put(ofRecipe(this.recipe, "/thresholds"), { ...this.seen, why: this.why.value.trim() });
      this.why.value = "";
      this.context.say(t("model.applied"));
      await this.load();
      this.changed();
    } catch (error) {
      this.context.fail(error);
      this.#buttons();
    }
  }

  #draw(width) {
    if (!this.table) return h("p", { class: "soft" }, t("loading"));
    const recent = this.table.recent.map((one) => one.score);
    const sets = [{ scores: this.table.calibration, className: "calibration" }, { scores: recent, className: "recent", outline: true }];
    const made = histogram(width, HEIGHT, sets, this.span, this.value);
    for (const name of ["review", "ng"]) if (this.value[name] !== null) made.drawing.append(this.#handle(name, made));
    return made.drawing;
  }

  #handle(name, { x, top, bottom, value }) {
    const at = Math.min(x(this.span[1]), Math.max(x(this.span[0]), x(this.value[name])));
    const text = name === "ng" ? word("NG") : word("REVIEW");
    const side = name === "ng" ? 1 : -1;
    const shapes = [
      s("line", { class: "cut", x1: at, x2: at, y1: top - 6, y2: bottom }),
      s("text", { class: "cut-name", x: at + 8 * side, y: top - 10, "text-anchor": name === "ng" ? "start" : "end" }, `${text} > ${score(this.value[name])}`),
    ];
    if (!this.context.may("engineer")) return s("g", { class: `handle ${name}` }, shapes);
    const [low, high] = this.span;
    return s(
      "g",
      {
        class: `handle ${name} movable`, role: "slider", tabindex: 0, "aria-label": name === "ng" ? t("model.ng-above", { verdict: text }) : t("model.review-above", { verdict: text }),
        "aria-valuemin": low, "aria-valuemax": high, "aria-valuenow": this.value[name], "aria-valuetext": score(this.value[name]),
        onkeydown: (event) => {
          const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
          if (!by) return;
          event.preventDefault();
          this.#move(name, this.value[name] + (by * (high - low)) / STEPS);
        },
        onpointerdown: (event) => this.#drag(event, name, value),
      },
      s("rect", { class: "grip", x: at - 22, y: top - 26, width: 44, height: bottom - top + 26 }),
      shapes,
      s("circle", { class: "knob", cx: at, cy: (top + bottom) / 2, r: 9 }),
    );
  }

  #drag(event, name, value) {
    event.preventDefault();
    const canvas = this.chart.element;
    const move = (moved) => this.#move(name, value(moved.clientX - canvas.getBoundingClientRect().left));
    const end = () => {
      window.removeEventListener("pointermove", move);
      window.removeEventListener("pointerup", end);
      window.removeEventListener("pointercancel", end);
    };
    window.addEventListener("pointermove", move);
    window.addEventListener("pointerup", end);
    window.addEventListener("pointercancel", end);
    canvas.querySelector(`.handle.${name}`)?.focus({ preventScroll: true });
  }
}

/** What new thresholds would have done, as a table: now and then. */
function effect(table) {
  const rows = [];
  const total = (counts) => ["OK", "REVIEW", "NG"].reduce((sum, verdict) => sum + (counts?.[verdict] ?? 0), 0);
  const cell = (now = 0, then = 0, bad = false) => {
    const change = then - now;
    const badge = change ? h("span", { class: `change ${bad && change > 0 ? "worse" : ""}` }, `${change > 0 ? "+" : "−"}${whole(Math.abs(change))}`) : null;
    return h("td", { class: "number" }, h("span", { class: "now" }, whole(now)), " → ", h("b", {}, whole(then)), badge);
  };
  const row = (name, { now, then }, wrong = null) => {
    if (!total(now) && !total(then)) return;
    rows.push(h("tr", {}, h("th", { scope: "row" }, name), ["OK", "REVIEW", "NG"].map((verdict) => cell(now?.[verdict], then?.[verdict], verdict === wrong))));
  };
  row(t("preview.last", { count: whole(table.last) }), table);
  row(t("preview.answered-ok", { verdict: word("OK") }), table.answered.OK, "NG");
  row(t("preview.answered-ng", { verdict: word("NG") }), table.answered.NG, "OK");
  row(t("preview.golden-good"), table.golden.good, "NG");
  row(t("preview.golden-defect"), table.golden.defect, "OK");
  const escapes = table.golden.defect?.then?.OK ?? 0;
  const rate = table.false_reject;
  return [
    h("h3", {}, t("preview.title")),
    h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, h("td", {}), ["OK", "REVIEW", "NG"].map((verdict) => h("th", { scope: "col" }, sign(verdict))))), h("tbody", {}, rows))),
    escapes ? h("p", { class: "warning" }, t("preview.escapes", { count: escapes })) : null,
    rate && (rate.now !== null || rate.then !== null) ? h("p", { class: "promised" }, t("preview.false-reject"), " ", h("span", { class: "now" }, percent(rate.now)), " → ", h("b", {}, percent(rate.then))) : null,
  ];
}
