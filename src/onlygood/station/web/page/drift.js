// Drift: do today's good parts still score like those of the calibration?

import { alarmSince, alarmTitle } from "./alarms.js";
import { get, ofRecipe, post } from "./api.js";
import { chart, histogram, legend, scale, span, ticks } from "./charts.js";
import { h, replace, s } from "./dom.js";
import { large, moment, percent, whole } from "./format.js";
import { counted, t } from "./i18n.js";
import { symbol } from "./verdicts.js";

export class Drift {
  constructor(context) {
    this.context = context;
    this.charts = [];
    this.content = h("div", { class: "stack" });
    this.element = h("section", { class: "drift", "aria-label": t("nav.drift") }, this.content);
  }

  async start() {
    await this.load();
    this.timer = setInterval(() => this.load().catch(() => {}), 15_000);
  }

  stop() {
    clearInterval(this.timer);
    this.#clear();
  }

  async load() {
    const recipe = this.context.oneRecipe();
    if (!recipe) {
      replace(this.content, h("p", { class: "soft" }, t("no-recipe")));
      return;
    }
    const table = await get(ofRecipe(recipe, "/drift"));
    this.#clear();
    const path = chart((width) => martingale(width, table), t("drift.chart"));
    const two = chart((width) => distributions(width, table), t("drift.distributions"));
    this.charts = [path, two];
    const now = table.martingale.at(-1)?.log10 ?? 0;
    const alarm = table.alarm;
    replace(
      this.content,
      h("h1", {}, t("drift.title", { recipe })),
      h(
        "div",
        { class: `state ${alarm ? "bad" : "good"}`, role: "status" },
        symbol(alarm ? "REVIEW" : "OK"),
        h(
          "div",
          { class: "grow" },
          h("h2", {}, alarm ? alarmTitle(alarm) : table.parts === 0 ? t("drift.none") : t("drift.calm")),
          h("p", {}, alarm ? alarmSince(alarm) : counted(table.parts, "drift.calm-one", "drift.calm-many")),
          alarm ? h("p", {}, t("drift.alarm-what")) : null,
        ),
        this.context.may("operate") && alarm ? h("button", { type: "button", onclick: () => this.#restart(recipe) }, t("drift.restart")) : null,
      ),
      h(
        "div",
        { class: "panel" },
        h("h2", {}, t("drift.chart")),
        h("p", { class: "soft" }, t("drift.promise", { rate: percent(table.false_alarm_rate), at: whole(table.alarm_at), most: whole(table.most_parts) }), table.exact ? null : ` ${t("drift.not-exact")}`),
        path.element,
        h("p", {}, t("drift.now", { value: large(now), at: whole(table.alarm_at) }), " ", t("drift.left-out", { count: whole(table.left_out) })),
      ),
      h(
        "div",
        { class: "panel" },
        h("h2", {}, t("drift.distributions")),
        legend([["calibration", t("drift.calibration", { count: whole(table.calibration.length) })], ["recent outline", t("drift.recent", { count: whole(table.recent.length) })]]),
        two.element,
      ),
    );
  }

  async #restart(recipe) {
    const why = await this.context.sure(t("drift.restart-sure", { recipe }), t("drift.restart"), t("drift.restart-why"));
    if (!why) return;
    if (await this.context.attempt(() => post(ofRecipe(recipe, "/drift/restart"), { why }))) this.context.say(t("drift.restarted"));
    await this.context.attempt(() => this.load());
  }

  #clear() {
    for (const one of this.charts) one.close();
    this.charts = [];
  }
}

function distributions(width, { calibration, recent }) {
  const sets = [{ scores: calibration, className: "calibration" }, { scores: recent, className: "recent", outline: true }];
  return histogram(width, 260, sets, span([calibration, recent])).drawing;
}

function martingale(width, table) {
  const height = 300;
  const left = 64;
  const right = width - 16;
  const points = table.martingale;
  const line = Math.log10(table.alarm_at);
  const values = points.map((point) => point.log10);
  const high = Math.max(line * 1.15, ...values) + 0.2;
  const low = Math.max(-6, Math.min(-0.5, ...values));
  const y = scale(low, high, height - 34, 14);
  const x = scale(0, Math.max(1, points.length - 1), left, right);
  const drawing = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("drift.chart") });
  for (const power of ticks(low, high, 6).filter(Number.isInteger)) {
    drawing.append(s("line", { class: "grid", x1: left, x2: right, y1: y(power), y2: y(power) }), s("text", { x: left - 8, y: y(power) + 4, "text-anchor": "end" }, large(power)));
  }
  drawing.append(s("rect", { class: "area ng", x: left, y: 14, width: right - left, height: Math.max(0, y(line) - 14) }));
  drawing.append(s("line", { class: "alarm", x1: left, x2: right, y1: y(line), y2: y(line) }), s("text", { class: "alarm-name", x: left + 8, y: y(line) - 7 }, t("drift.line", { at: whole(table.alarm_at) })));
  if (points.length) {
    const path = points.map((point, index) => `${index ? "L" : "M"}${x(index).toFixed(1)} ${y(Math.max(low, point.log10)).toFixed(1)}`).join("");
    drawing.append(s("path", { class: "line path", d: path }));
    drawing.append(s("circle", { class: "last", cx: x(points.length - 1), cy: y(Math.max(low, values.at(-1))), r: 5 }));
    const named = points.length > 1 ? [0, points.length - 1] : [0];
    for (const index of named) drawing.append(s("text", { x: x(index), y: height - 10, "text-anchor": index ? "end" : "start" }, moment(points[index].time)));
  }
  drawing.append(s("line", { class: "axis", x1: left, x2: right, y1: height - 34, y2: height - 34 }));
  return drawing;
}
