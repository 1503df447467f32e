// A drift alarm in words.

import { moment, whole } from "./format.js";
import { t } from "./i18n.js";

export const alarmTitle = (alarm) => (alarm.direction === "rising" ? t("drift.alarm-rising") : t("drift.alarm-falling"));

export const alarmSince = (alarm) => t("drift.alarm-since", { time: moment(alarm.time), parts: whole(alarm.parts) });
