// Who calls: the token of a person or a machine, if the station asks for one.

import { post } from "./api.js";
import { h, replace } from "./dom.js";
import { t } from "./i18n.js";
import { problem } from "./problems.js";

/** The view where a token is given; `done` is called when the station took it. */
export function login(done) {
  const token = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, spellcheck: "false" });
  const told = h("p", { class: "error", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    told.textContent = "";
    try {
      await post("/login", { token: token.value.trim() });
    } catch (error) {
      replace(told, error.status === 401 ? t("login.refused") : problem(error));
      token.select();
      return;
    }
    done();
  };
  const form = h(
    "form",
    { class: "login panel", onsubmit: submit },
    h("h1", {}, t("login.title")),
    h("p", {}, t("login.what")),
    h("label", { class: "field" }, t("login.token"), token),
    told,
    h("button", { type: "submit", class: "primary" }, t("login.enter")),
  );
  setTimeout(() => token.focus());
  return form;
}
