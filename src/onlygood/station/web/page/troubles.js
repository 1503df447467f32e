// What is wrong, above every view, so that nobody trusts a station that is not well.

import { alarmSince, alarmTitle } from "./alarms.js";
import { h } from "./dom.js";
import { whole } from "./format.js";
import { t } from "./i18n.js";
import { symbol } from "./verdicts.js";

const banner = (kind, title, text) => h("div", { class: `banner ${kind}` }, symbol(kind === "bad" ? "NG" : "REVIEW"), h("p", {}, h("b", {}, title), " ", text));

/** Banners for the station's state; none if all is well. */
export function troubles(connected, status) {
  if (connected === false) return [banner("bad", t("trouble.lost"), t("trouble.lost-what"))];
  if (!status) return [];
  const found = [];
  const record = status.record ?? {};
  if (status.ready === false) found.push(banner("bad", t("trouble.not-ready"), (status.reasons ?? []).join("; ")));
  if (record.database && record.database !== "ok") found.push(banner("warn", t("trouble.journal"), t("trouble.journal-what", { count: whole(record.journal ?? 0) })));
  else if (record.journal) found.push(banner("warn", t("trouble.catching-up"), t("trouble.catching-up-what", { count: whole(record.journal) })));
  else if (record.message) found.push(banner("warn", t("trouble.record"), record.message));
  for (const one of status.connections ?? []) {
    if (one.problem) found.push(banner("warn", t("trouble.connection", { name: one.name }), one.problem));
  }
  for (const recipe of status.recipes ?? []) {
    if (recipe.problem) found.push(banner("warn", t("trouble.recipe", { recipe: recipe.name }), recipe.problem));
    const alarm = recipe.drift?.alarm;
    if (alarm) found.push(banner("warn", t("trouble.recipe", { recipe: recipe.name }), `${alarmTitle(alarm)}. ${alarmSince(alarm)}`));
  }
  return found;
}
