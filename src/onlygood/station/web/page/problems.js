// What went wrong, in the reader's language: by the error's code, with the station's own words where they say more.

import { h } from "./dom.js";
import { known, t } from "./i18n.js";

/** Text and elements that tell an error of the interface. */
export function problem({ status, code, message, seconds }) {
  if (status === 0) return [t("error.unreachable")];
  const text = known("problem", code, { seconds }) ?? t("error.refused");
  const [before, after] = text.split("{message}");
  return after === undefined ? [before] : [before, h("span", { lang: "en" }, message), after];
}
