// Live: the verdict to be read from three metres, the part it is about, and how the line has been doing.

import { get } from "./api.js";
import { h, replace } from "./dom.js";
import { milliseconds, moment, percent, whole } from "./format.js";
import { t } from "./i18n.js";
import { regionList, scoreBar, thumbnail } from "./parts.js";
import { Picture, stepOpacity, toggleRegions } from "./picture.js";
import { symbol, word } from "./verdicts.js";

const STRIP = 40;
const SLOWEST_MS = 200; // between two parts on the screen; a faster line is counted in full, and shown in part
const COUNT_MS = 700; // from a part to the counters that know it
const COUNTED = 1000;

export class Live {
  constructor(context) {
    this.context = context;
    this.recent = [];
    this.shown = null;
    this.held = false;
    this.missed = 0;
    this.picture = new Picture();
    this.verdict = h("div", { class: "verdict none", role: "status", "aria-live": "polite" });
    this.name = h("h2", { class: "part-name" });
    this.when = h("p", { class: "soft when" });
    this.details = h("div", { class: "details" });
    this.hold = h("button", { type: "button", class: "toggle", "aria-pressed": "false", onclick: () => this.toggleHold() }, t("live.hold"), h("kbd", {}, "H"));
    this.holding = h("span", { class: "holding", hidden: true });
    this.strip = h("div", { class: "strip", role: "group", "aria-label": t("live.recent") });
    this.counters = h("div", { class: "counters" });
    this.element = h(
      "section",
      { class: "live", "aria-label": t("nav.live") },
      h("div", { class: "left" }, this.verdict, h("div", { class: "panel about" }, this.name, this.when, this.details)),
      h("div", { class: "right panel" }, this.picture.element, h("div", { class: "holder" }, this.holding, this.hold)),
      this.counters,
      this.strip,
    );
  }

  async start() {
    this.#draw();
    await this.refresh();
    this.timer = setInterval(() => this.counts().catch(() => {}), 5000);
  }

  stop() {
    clearInterval(this.timer);
    clearTimeout(this.pacing);
    clearTimeout(this.counting);
    this.picture.close();
  }

  /** Read the newest parts from the record: at the start, and after the connection was lost. */
  async refresh() {
    const { decisions } = await get("/decisions", { recipe: this.context.recipe, limit: STRIP, order: "newest" });
    // Parts told while the answer was under way are not in it.
    const newest = decisions[0]?.id ?? "";
    this.recent = [...this.recent.filter((one) => one.id > newest), ...decisions].slice(0, STRIP);
    await Promise.all([this.#show(), this.counts()]);
  }

  decision(decision) {
    if (this.context.recipe && decision.recipe !== this.context.recipe) return;
    this.recent = [decision, ...this.recent.filter((one) => one.id !== decision.id)].slice(0, STRIP);
    this.counting ??= setTimeout(() => {
      this.counting = null;
      this.counts().catch(() => {});
    }, COUNT_MS);
    if (this.held) {
      this.missed += 1;
      this.#holding();
    }
    if (this.pacing) return;
    this.#show();
    this.pacing = setTimeout(() => {
      this.pacing = null;
      if (!this.held && this.recent[0]?.id !== this.shown?.id) this.#show();
    }, SLOWEST_MS);
  }

  connection(connected) {
    if (connected) this.refresh().catch(() => {});
    this.#draw();
  }

  toggleHold() {
    this.held = !this.held;
    this.missed = 0;
    this.hold.setAttribute("aria-pressed", String(this.held));
    this.#holding();
    if (!this.held) this.#show();
  }

  key(event) {
    if (event.key === "h" || event.key === "H") this.toggleHold();
    else if (event.key === "+") stepOpacity(1);
    else if (event.key === "-") stepOpacity(-1);
    else if (event.key === "b" || event.key === "B") toggleRegions();
    else return false;
    return true;
  }

  async counts() {
    const table = await get("/statistics", { recipe: this.context.recipe, since: new Date(new Date().setHours(0, 0, 0, 0)).toISOString(), last: COUNTED });
    const { total } = table;
    const tile = (name, value, small) => h("div", { class: "tile" }, h("span", { class: "label" }, name), h("b", {}, value), h("small", {}, small));
    const cycle = table.cycle_ms ?? {};
    replace(
      this.counters,
      ["OK", "REVIEW", "NG"].map((verdict) =>
        h(
          "div",
          { class: `tile count ${verdict.toLowerCase()}` },
          h("span", { class: "label" }, symbol(verdict), word(verdict)),
          h("b", {}, whole(table.verdicts[verdict])),
          h("small", {}, total ? percent(table.verdicts[verdict] / total) : ""),
        ),
      ),
      tile(t("live.per-hour"), whole(table.parts_per_hour), t("live.today", { count: whole(total) })),
      h(
        "div",
        { class: "tile cycle" },
        h("span", { class: "label" }, t("live.cycle", { count: whole(cycle.parts) })),
        h("span", { class: "three" }, [["p50", cycle.p50], ["p95", cycle.p95], ["p99", cycle.p99]].map(([name, value]) => h("span", {}, h("b", {}, milliseconds(value)), h("small", {}, name)))),
      ),
    );
  }

  #holding() {
    this.holding.hidden = !this.held;
    this.holding.textContent = this.held ? t("live.held", { count: this.missed }) : "";
    this.element.classList.toggle("held", this.held);
  }

  async #show() {
    this.#strip();
    if (this.held) return;
    const decision = this.recent[0];
    if (!decision) {
      this.picture.clear(t("live.nothing"));
    } else if (decision.id !== this.shown?.id && !(await this.picture.show(decision))) return;
    const fresh = decision && decision.id !== this.shown?.id;
    this.shown = decision ?? null;
    this.#draw();
    if (fresh) {
      void this.verdict.offsetWidth; // so that two parts with the same verdict are seen as two
      this.verdict.classList.add("fresh");
    }
    this.#strip();
  }

  #strip() {
    replace(this.strip, this.recent.map((decision) => thumbnail(decision, this.context.open, { current: decision.id === this.shown?.id })));
  }

  #draw() {
    const decision = this.shown;
    const lost = this.context.feed.connected === false;
    this.element.classList.toggle("lost", lost);
    if (!decision) {
      this.verdict.className = "verdict none";
      replace(this.verdict, h("span", { class: "word" }, "–"));
      replace(this.name, t("live.waiting"));
      replace(this.when);
      replace(this.details);
      return;
    }
    this.verdict.className = `verdict ${decision.verdict.toLowerCase()} ${word(decision.verdict).length > 3 ? "long" : "brief"}`;
    replace(this.verdict, symbol(decision.verdict), h("span", { class: "word" }, word(decision.verdict)));
    if (lost) replace(this.verdict, h("span", { class: "stale" }, t("live.stale", { time: moment(decision.time) })), h("span", { class: "word" }, "?"));
    this.name.textContent = decision.name || "–";
    this.when.textContent = t("live.when", { time: moment(decision.time), recipe: decision.recipe, took: milliseconds(decision.wait_ms + decision.inspect_ms) });
    replace(this.details, scoreBar(decision), regionList(decision, this.picture));
  }
}
