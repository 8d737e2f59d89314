// Status documents of many accounts, made from the one account of the golden document.

import { readFileSync } from "node:fs";

export const GOLDEN = readFileSync(new URL("../golden/status.json", import.meta.url), "utf8");

export const idOf = (index) => index.toString(16).padStart(32, "0");

/** What is wrong with some accounts, if there is trouble: the state, the cause, and the error of which resource. */
const TROUBLES = [
  ["failing", "network", "summary", "unavailable", "no connection to api.cloudflare.com"],
  ["failing", "rate_limit", "summary", "limited", "cloudflare's rate limit is reached; retry in 240 s"],
  ["failing", "token", "summary", "refused", "the credentials were refused (HTTP 401, 10000 Authentication error)"],
  ["degraded", "permission", "integrations", "forbidden", "the credentials lack a permission; add \"Zero Trust Read\" to the token"],
];

const AT = Date.parse("2026-11-21T00:05:01.250Z");
const date = (secondsAgo) => new Date(AT - secondsAgo * 1000).toISOString();

/** A wave of six hours with a value for each step. */
const wave = (steps, level, size) =>
  Array.from({ length: steps }, (_, step) => Math.max(0, Math.round(level + size * Math.sin(step / (steps / 9)))));

function account(template, index, trouble) {
  const status = structuredClone(template);
  const high = (index * 7) % 5;
  status.account = `${["acme", "branch office", "customer", "subsidiary in another country"][index % 4]}-${index + 1}`;
  status.account_id = idOf(index);
  status.users.by_level = { unknown: 0, low: 120 + index, medium: 11 + index % 6, high };
  status.users.pending = 0;
  status.users.oldest_pending = null;
  status.users.trend.values = {
    unknown: wave(360, 0, 0), low: wave(360, 120 + index, 6), medium: wave(360, 11 + index % 6, 3), high: wave(360, high, 1),
  };
  status.users.trend.until = date(-10);
  status.users.high_risk = Array.from({ length: high }, (_, user) => ({
    user: `00000000-0000-4000-8000-${String(100 * index + user).padStart(12, "0")}`, email: null, name: null,
    since: date(7_000 * (user + 1)), last_event: date(900 * (user + 1)), reported_events: 3 + user, last_reset: null,
  }));
  status.users.high_risk_omitted = 0;
  status.drift = { declared: 8, drifted: [], undeclared: [] };
  status.events.recent = 11 + index;
  status.events.trend.values = { high_dlp: wave(36, 0, 1), imp_travel: wave(36, 2, 3) };
  status.events.trend.until = date(-300);
  status.health = { state: "up_to_date", cause: null, since: null };
  status.errors = [];
  status.resources.summary.last_success = date(index % 30);
  if (!trouble) return status;
  const [state, cause, resource, outcome, error] = trouble;
  status.health = { state, cause, since: date(1_800) };
  status.up = state !== "failing";
  status.errors = [{
    resource, cause: outcome, error, first: date(1_800), last: date(20), times: 58, over: null,
    what_to_do: "Wait; see cloudflarestatus.com. If the error persists, check the network to Cloudflare.",
  }];
  if (state === "failing") {
    status.resources.summary.last_success = date(1_830);
    status.users.trend.until = date(1_830);
    for (const values of Object.values(status.users.trend.values)) values.fill(null, 200, 230);
  }
  return status;
}

/** A document of `count` accounts. Every fifth one is in trouble, if there is any. */
export function documentOf(count, hasTrouble) {
  const document = JSON.parse(GOLDEN);
  const [template] = document.accounts;
  document.version = "0.0.0";
  document.now = new Date(AT).toISOString();
  document.accounts = Array.from({ length: count }, (_, index) =>
    account(template, index, hasTrouble && index % 5 === 0 ? TROUBLES[(index / 5) % TROUBLES.length] : null));
  return document;
}
