// Audit: who changed what and why, and whether that chain of entries is whole.

import { get } from "./api.js";
import { h, replace } from "./dom.js";
import { moment, score, short, whole } from "./format.js";
import { counted, known, t } from "./i18n.js";
import { symbol, word } from "./verdicts.js";

const AT_ONCE = 50;

export class Audit {
  constructor(context) {
    this.context = context;
    this.checking = h("button", { type: "button", onclick: () => this.check() }, t("audit.check"));
    this.checked = h("div", { class: "checked", role: "status" });
    this.rows = h("tbody");
    this.told = h("p", { class: "soft", role: "status", tabindex: -1 });
    this.older = h("button", { type: "button", class: "more", hidden: true, onclick: () => this.load(this.before) }, t("audit.older"));
    const columns = { time: t("part.time"), who: t("audit.who"), what: t("audit.what"), of: t("part.recipe"), why: t("audit.why") };
    this.element = h(
      "section",
      { class: "audit", "aria-label": t("nav.audit") },
      h(
        "div",
        { class: "panel head" },
        h("div", { class: "grow" }, h("h1", {}, t("audit.title")), h("p", { class: "soft" }, t("audit.is"))),
        this.checking,
        this.checked,
      ),
      h(
        "div",
        { class: "panel found" },
        h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, Object.entries(columns).map(([name, text]) => h("th", { scope: "col", class: name }, text)))), this.rows)),
        this.told,
        this.older,
      ),
    );
  }

  async start() {
    await this.load();
  }

  stop() {
    this.loading?.abort();
  }

  /** Entries before that number, or the newest. */
  async load(before = null) {
    this.loading?.abort();
    this.loading = new AbortController();
    let table;
    try {
      table = await get("/audit", { recipe: this.context.recipe, limit: AT_ONCE, before }, this.loading.signal);
    } catch (error) {
      this.context.fail(error);
      return;
    }
    const rows = table.entries.map(row);
    if (before === null) replace(this.rows, rows);
    else this.rows.append(...rows);
    this.before = table.next;
    const last = table.next === null;
    const focused = document.activeElement === this.older;
    this.older.hidden = last;
    const count = this.rows.children.length;
    this.told.textContent = last ? counted(count, "audit.all-one", "audit.all-many") : t("audit.newest", { count: whole(count) });
    if (last && focused) this.told.focus(); // where the button was
  }

  /** Have the station follow the chain. */
  async check() {
    this.checking.disabled = true;
    replace(this.checked, h("p", { class: "soft" }, t("loading")));
    try {
      replace(this.checked, verdict(await get("/audit/verify")));
    } catch (error) {
      replace(this.checked);
      this.context.fail(error);
    } finally {
      this.checking.disabled = false;
      this.checking.focus({ preventScroll: true });
    }
  }
}

/** What following the chain has shown. */
function verdict({ whole: fits, entries, broken_at, digest }) {
  return h(
    "div",
    { class: `state ${fits ? "good" : "broken"}` },
    symbol(fits ? "OK" : "NG"),
    h(
      "div",
      { class: "grow" },
      h("h2", {}, fits ? counted(entries, "audit.whole-one", "audit.whole-many") : t("audit.broken", { number: whole(broken_at) })),
      h("p", {}, fits ? t("audit.whole-what") : t("audit.broken-what")),
      h("p", {}, h("span", {}, fits ? t("audit.digest", { number: whole(entries) }) : t("audit.digest-fits")), " ", h("code", {}, digest)),
    ),
  );
}

const none = () => h("span", { class: "none" }, "–");

function row(entry) {
  const { title, more } = deed(entry);
  const ofRecipe = entry.action !== "keep images";
  return h(
    "tr",
    {},
    h("td", {}, moment(entry.time), h("small", {}, t("audit.number", { number: whole(entry.seq) }), " ", h("code", { title: entry.digest }, short(entry.digest)))),
    h("td", { class: "who" }, entry.who || none()),
    h("td", {}, h("b", {}, title), more),
    h("td", {}, ofRecipe ? entry.subject : none()),
    h("td", {}, entry.detail.why || none()),
  );
}

/** What was done, in words; an action of a later station by its own name. */
function deed({ action, subject, detail }) {
  const name = action.replace(/[ _]/g, "-");
  const { from, to } = detail;
  const sameModel = Boolean(from) && from.model === to?.model;
  const values = {
    model: to ? change(from?.model, to.model, short) : short(detail.sha256 ?? detail.model),
    method: detail.method,
    origin: { file: t("audit.from-file"), upload: t("audit.from-upload"), candidate: t("audit.from-candidate") }[detail.origin] ?? "–",
    images: whole(detail.images),
    parts: whole(detail.parts),
    name: detail.name || short(detail.digest),
    truth: detail.truth === "good" ? t("golden.good") : t("golden.defect"),
    direction: detail.direction === "rising" ? t("audit.rising") : t("audit.falling"),
    kept: { all: t("audit.keep-all"), review: t("audit.keep-review", { review: word("REVIEW"), ng: word("NG") }), none: t("audit.keep-none") }[subject] ?? subject,
  };
  const title = sameModel ? t("audit.thresholds") : (known("did", name, values) ?? action);
  const limit = (which) => change(from?.thresholds[which], to.thresholds[which], score);
  const more = [];
  if (to) more.push(h("p", { class: "soft" }, t("audit.limits", { ng: limit("ng"), review: limit("review") })));
  if (detail.problem) more.push(h("p", { class: "soft", lang: "en" }, detail.problem));
  if (action === "restart drift") more.push(h("p", { class: "soft" }, detail.alarm ? t("audit.after-alarm") : t("audit.without-alarm")));
  return { title, more };
}

/** What it is now, and what it was before if that was something else. */
const change = (before, now, written) => (before === undefined || written(before) === written(now) ? written(now) : `${written(before)} →\u00a0${written(now)}`);
