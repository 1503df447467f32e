// The frame around the views: who calls, which recipe, which view, and how the station is.

import { get, post } from "./api.js";
import { Audit } from "./audit.js";
import { Detail } from "./detail.js";
import { h, memory, replace, typing } from "./dom.js";
import { Drift } from "./drift.js";
import { Feed } from "./feed.js";
import { help } from "./help.js";
import { History } from "./history.js";
import { inUse, LANGUAGES, preferred, t, use } from "./i18n.js";
import { Live } from "./live.js";
import { login } from "./login.js";
import { Model } from "./model.js";
import { problem } from "./problems.js";
import { Review } from "./review.js";
import { sure } from "./sure.js";
import { troubles } from "./troubles.js";

const VIEWS = { live: Live, review: Review, history: History, model: Model, drift: Drift, audit: Audit };
const NEEDED = { audit: "engineer" }; // views that not everybody may see
const ROLES = ["view", "operate", "engineer"];

class Page {
  constructor() {
    this.feed = new Feed();
    this.recipes = [];
    this.default = null;
    this.recipe = "";
    this.user = null;
    this.feed.addEventListener("decision", ({ detail }) => {
      this.view?.decision?.(detail);
      if (detail.verdict === "REVIEW") this.#waiting(this.waiting === null ? null : this.waiting + 1);
    });
    this.feed.addEventListener("status", ({ detail }) => this.#status(detail));
    this.feed.addEventListener("connection", ({ detail }) => this.#connection(detail));
    window.addEventListener("hashchange", () => this.#go());
    window.addEventListener("login-needed", () => this.#login());
    document.addEventListener("keydown", (event) => this.#key(event));
    // A list that was chosen from by hand gives the focus back, else it would take the next shortcut for itself.
    document.addEventListener("keydown", () => (this.byKeys = true), true);
    document.addEventListener("pointerdown", () => (this.byKeys = false), true);
    document.addEventListener("change", ({ target }) => target.matches("select") && !this.byKeys && target.blur());
  }

  // What the views may use.

  /** May this user do what the role may do? */
  may = (role) => ROLES.indexOf(this.user?.role) >= ROLES.indexOf(role);

  get who() {
    return this.user?.name ?? "";
  }

  /** The recipe that is chosen, or the one that answers if none is. */
  oneRecipe = () => this.recipe || this.default || this.recipes[0]?.name || "";

  recipeInfo = (name) => this.recipes.find((one) => one.name === name);

  readRecipes = async () => {
    const table = await get("/recipes");
    this.recipes = table.recipes;
    this.default = table.default ?? null;
    if (this.recipe && !this.recipeInfo(this.recipe)) this.recipe = "";
  };

  /** Show a part in full. */
  open = (decision, others, closed = () => {}) => {
    this.detail.onclosed = closed;
    this.detail.open(decision, others);
  };

  sure = (question, act, why) => sure(document.body, question, act, why);

  say = (text) => this.#toast(text, "good");

  fail = (error) => {
    if (error.name === "AbortError" || error.status === 401) return;
    if (error.status === undefined) throw error;
    this.#toast(problem(error), "bad");
  };

  /** Do it, and tell if it fails. True if it did not. */
  attempt = async (act) => {
    try {
      await act();
      return true;
    } catch (error) {
      this.fail(error);
      return false;
    }
  };

  // The frame.

  async start() {
    await use(preferred());
    await this.#enter();
  }

  async #enter() {
    try {
      this.user = await get("/whoami");
    } catch (error) {
      // Not there yet, or not any more: say so, and go on as soon as it answers.
      replace(document.body, h("main", { class: "unreachable", role: "alert" }, h("h1", {}, t("error.unreachable")), h("p", {}, t("error.again"))));
      setTimeout(() => this.#enter(), 3000);
      return;
    }
    if (!this.user.open && !this.user.role) {
      this.#login();
      return;
    }
    await this.attempt(this.readRecipes);
    const remembered = memory.get("recipe", "");
    this.recipe = this.recipeInfo(remembered) ? remembered : "";
    this.entered = true;
    this.#build();
    this.feed.start();
  }

  #login() {
    if (document.querySelector(".login")) return;
    this.user = null;
    this.entered = false;
    this.feed.stop();
    this.view?.stop();
    this.view = null;
    const again = () => this.#login();
    replace(
      document.body,
      h("header", { class: "top" }, h("span", { class: "brand" }, "onlygood"), h("span", { class: "grow" }), this.#languages(again)),
      h("main", { class: "entrance" }, login(() => this.#enter())),
    );
  }

  #languages(changed) {
    const select = h("select", { "aria-label": t("language"), class: "language", onchange: () => this.#language(select.value, changed) }, Object.entries(LANGUAGES).map(([code, name]) => h("option", { value: code, lang: code, selected: code === inUse() }, name)));
    return select;
  }

  async #language(code, changed) {
    memory.set("language", code);
    if (await this.attempt(() => use(code))) {
      document.querySelector(".login")?.remove();
      changed();
      if (this.byKeys) document.querySelector(".language")?.focus();
    }
  }

  #build() {
    document.title = "onlygood";
    this.badge = h("span", { class: "badge", hidden: true });
    const names = { live: t("nav.live"), review: t("nav.review"), history: t("nav.history"), model: t("nav.model"), drift: t("nav.drift"), audit: t("nav.audit") };
    const shown = Object.entries(names).filter(([name]) => this.may(NEEDED[name] ?? "view"));
    this.links = Object.fromEntries(shown.map(([name, text]) => [name, h("a", { href: `#${name}` }, text, name === "review" ? this.badge : null)]));
    this.chooser = h("select", { "aria-label": t("recipe"), class: "recipe", onchange: () => this.#choose(this.chooser.value) });
    this.state = h("span", { class: "connection", role: "status" });
    this.banner = h("div", { class: "banners", role: "alert" });
    this.main = h("main", { id: "main", tabindex: -1 });
    this.toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
    this.detail?.picture.close();
    this.detail = new Detail(this);
    this.help = help(shown.map(([, text]) => text));
    replace(
      document.body,
      h("a", { href: "#main", class: "skip", onclick: (event) => (event.preventDefault(), this.main.focus()) }, t("skip")),
      h(
        "header",
        { class: "top" },
        h("span", { class: "brand" }, "onlygood"),
        h("nav", { "aria-label": t("views") }, Object.values(this.links)),
        h("span", { class: "grow" }),
        this.recipes.length > 1 ? this.chooser : null,
        this.state,
        this.#languages(() => this.#build()),
        this.user.open ? null : h("button", { type: "button", class: "quiet", onclick: () => this.#logout(), title: t("logout.who", { name: this.user.name, role: this.user.role }) }, t("logout")),
        h("button", { type: "button", class: "quiet round", "aria-label": t("help.title"), onclick: () => this.help.showModal() }, "?"),
      ),
      this.banner,
      this.main,
      this.toasts,
      this.detail.element,
      this.help,
    );
    this.#banners();
    this.#go();
    this.#count();
  }

  #go() {
    if (!this.entered) return;
    const [name, parameters] = location.hash.slice(1).split("?");
    const chosen = name in this.links ? name : "live";
    this.view?.stop();
    for (const [one, link] of Object.entries(this.links)) {
      if (one === chosen) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    this.name = chosen;
    const single = chosen === "model" || chosen === "drift";
    const options = [single ? null : h("option", { value: "" }, t("all-recipes")), this.recipes.map((one) => h("option", { value: one.name }, one.name))];
    replace(this.chooser, options);
    this.chooser.value = single ? this.oneRecipe() : this.recipe;
    const query = {};
    for (const [key, value] of new URLSearchParams(parameters)) query[key] = key in query ? [query[key], value].flat() : value;
    const view = new VIEWS[chosen](this, query);
    this.view = view;
    document.title = `${this.links[chosen].firstChild.textContent} – onlygood`;
    replace(this.main, view.element);
    this.main.scrollTop = 0;
    this.attempt(() => view.start());
  }

  #choose(recipe) {
    this.recipe = recipe;
    memory.set("recipe", recipe);
    this.#go();
    this.#count();
  }

  async #logout() {
    await this.attempt(() => post("/logout"));
    this.#login();
  }

  async #count() {
    try {
      const table = await get("/statistics", { recipe: this.recipe });
      this.#waiting(table.to_review ?? null);
    } catch {
      // The banner tells if the station is in trouble.
    }
  }

  #waiting(count) {
    this.waiting = count;
    this.badge.textContent = count ? String(count) : "";
    this.badge.hidden = !count;
  }

  #status(status) {
    this.#banners();
    this.view?.status?.(status);
    this.#count();
  }

  #connection(connected) {
    this.#banners();
    this.view?.connection?.(connected);
    if (!connected) get("/whoami").then(({ open, role }) => open || role || this.#login()).catch(() => {}); // is a token missing?
  }

  #banners() {
    if (!this.banner) return;
    const { connected, status } = this.feed;
    const found = h("div", {}, troubles(connected, status));
    if (found.textContent !== this.banner.textContent) replace(this.banner, [...found.children]); // else it would be read out again
    this.state.className = `connection ${connected === false ? "off" : connected ? "on" : ""}`;
    this.state.textContent = connected === false ? t("connection.lost") : connected ? t("connection.on") : t("connection.unknown");
  }

  #toast(text, kind) {
    const toast = h("p", { class: `toast ${kind}` }, ...[text].flat());
    this.toasts.append(toast);
    setTimeout(() => toast.remove(), kind === "bad" ? 9000 : 4000);
  }

  #key(event) {
    if (!this.entered || typing(event) || document.querySelector("dialog[open]")) return;
    if (event.key === "?") this.help.showModal();
    else if (/^[1-9]$/.test(event.key) && Object.keys(this.links)[event.key - 1]) location.hash = Object.keys(this.links)[event.key - 1];
    else if (!this.view?.key?.(event)) return;
    event.preventDefault();
  }
}

new Page().start();
