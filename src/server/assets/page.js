// Shows the document at /api/v1/status and keeps it up to date.

import { ago, bars, clock, element, line, morph, number, plural, setTime, span, table, tick } from "./draw.js";

/* Accounts. */

const LEVELS = ["high", "medium", "low", "unknown"];
const RESOURCES = {
  summary: "List of users", user: "Events of single users", behaviors: "Behaviors", integrations: "Integrations",
  credential_file: "Credential file",
};
const STATES = {
  true: ["good", "up to date"],
  false: ["bad", "users could not be read"],
  null: ["plain", "not read yet"],
};

function account(status, index) {
  const id = `account-${index}`;
  const [kind, words] = STATES[String(status.up)];
  const ongoing = status.errors.filter((error) => error.over === null);
  return element("section", { "aria-labelledby": id },
    element("h2", { id }, status.account, " ", element("span", { class: `state ${kind}` }, words)),
    grouped(ongoing).map(errorNotice),
    people(status),
    facts(status),
    events(status),
    element("div", { class: "columns" }, freshness(status), integrations(status)),
    errors(status));
}

/** Groups errors that are the same for several resources except for the CF-Ray id, which differs in every answer. */
function grouped(errors) {
  const groups = Map.groupBy(errors, ({ error, what_to_do }) => `${error.replace(/, CF-Ray \w+(-\w+)?/, "")} ${what_to_do}`);
  return [...groups.values()].map((group) => ({
    ...group[0],
    resources: group.map(({ resource }) => RESOURCES[resource] ?? resource).sort(),
    first: group.map(({ first }) => first).sort()[0],
    last: group.map(({ last }) => last).sort().at(-1),
    times: group.reduce((sum, { times }) => sum + times, 0),
  }));
}

function errorNotice({ resources, error, what_to_do: advice, first, last, times }) {
  return element("div", { class: "notice bad" },
    element("p", {}, element("strong", {}, `${resources.join(", ")}: `), error),
    element("p", {}, advice),
    element("p", { class: "small" }, "First ", ago(first), ", last ", ago(last), `, ${plural(times, "time", "times")}.`));
}

function people({ users, resources }) {
  const interval = resources.summary.interval_seconds ?? 0;
  if (users === null) return element("p", {}, "The list of users has not been read yet.");
  const tiles = LEVELS.filter((level) => level !== "unknown" || users.by_level.unknown > 0).map((level) => {
    const name = level === "unknown" ? "of unknown level" : level;
    const trend = users.trend && line(users.trend, users.trend.values[level], interval, `Users at ${level} risk`);
    return element("li", { class: `tile ${level}` },
      element("span", { class: "name" }, name),
      element("strong", {}, number(users.by_level[level])),
      trend?.chart,
      trend && element("span", { class: "small range" },
        element("span", {}, `since ${clock(trend.from)}`),
        element("span", {}, trend.least === trend.most ? "no change" : `${number(trend.least)} to ${number(trend.most)}`)));
  });
  return element("div", {}, element("h3", {}, "Users at risk"), element("ul", { class: "tiles" }, tiles));
}

function facts({ users, events, budget, token_expiry: expiry }) {
  const list = [];
  if (users) {
    list.push(["Users whose new events have not been read yet", users.pending === 0
      ? "none"
      : [`${number(users.pending)}, the first one `, ago(users.oldest_pending, "now")]]);
  }
  if (budget) {
    list.push(["Requests left in 5 minutes", `${number(budget.remaining)} of ${number(budget.limit)}`]);
    if (budget.blocked_until) {
      list.push(["No requests are sent until", clock(Date.parse(budget.blocked_until))]);
    }
  }
  if (events?.counting_since) list.push(["Events counted since", clock(Date.parse(events.counting_since))]);
  if (expiry) list.push(["The token expires", clock(Date.parse(expiry))]);
  return list.length > 0 && element("dl", {}, list.map(([term, words]) => element("div", {}, element("dt", {}, term), element("dd", {}, words))));
}

/** What to say of a behavior that is not known to be enabled. */
function setting(behavior) {
  if (!behavior) return "not listed";
  return behavior.enabled === null ? "unknown" : "disabled";
}

/** The behaviors and their events. Those with the most recent events come first. */
function events({ behaviors, events: counted, resources }) {
  const interval = resources.summary.interval_seconds ?? 0;
  if (behaviors === null && counted === null) return element("p", {}, "Behaviors have not been read yet.");
  const listed = new Map((behaviors ?? []).map((behavior) => [behavior.behavior, behavior]));
  const counts = counted?.by_behavior ?? {};
  const labels = [...new Set([...listed.keys(), ...Object.keys(counts)])];
  const by = (label) => counts[label] ?? { total: 0, recent: 0 };
  labels.sort((a, b) => by(b).recent - by(a).recent || by(b).total - by(a).total || (a < b ? -1 : 1));
  const rows = labels.map((label) => {
    const behavior = listed.get(label);
    const name = behavior?.name ?? label;
    const values = counted?.trend?.values[label];
    const settings = [
      [name, name === label ? null : element("span", { class: "small id" }, label)],
      behavior?.enabled ? "enabled" : element("span", { class: "faint" }, setting(behavior)),
      behavior ? element("span", { class: `level ${behavior.risk_level}` }, behavior.risk_level) : "unknown",
    ];
    return counted === null ? settings : [
      ...settings,
      number(by(label).total),
      number(by(label).recent),
      values ? bars(counted.trend, values, interval, name) : "",
    ];
  });
  const columns = [{ heading: "Behavior" }, { heading: "State" }, { heading: "Level" }];
  if (counted === null) return table("Behaviors (no events counted yet)", columns, rows);
  const hours = counted.trend ? span(counted.trend.step_seconds * 36000) : "the last hours";
  return table("Behaviors and their events", [
    ...columns,
    { heading: "Events", kind: "number" }, { heading: `In ${hours}`, kind: "number" }, { heading: "Trend", kind: "trend" },
  ], rows);
}

function freshness({ resources }) {
  const rows = Object.entries(RESOURCES).filter(([resource]) => resources[resource]).map(([resource, name]) => {
    const { last_success: read, interval_seconds: interval, rejected_rows: rejected } = resources[resource];
    return [name, ago(read), interval === null ? "on change" : `every ${brief(interval)}`, number(rejected)];
  });
  return table("Freshness", [
    { heading: "Data" }, { heading: "Last read" }, { heading: "Read" }, { heading: "Rejected rows", kind: "number" },
  ], rows);
}

const brief = (seconds) => seconds < 10 ? `${Number(seconds.toPrecision(2))} s` : span(seconds * 1000);

function integrations({ integrations: known }) {
  if (known === null) return element("p", {}, "Integrations have not been read yet.");
  if (known.length === 0) return element("p", {}, "No integration is configured to receive risk changes.");
  return table("Integrations", [{ heading: "Integration", kind: "wide" }, { heading: "Tenant", kind: "wide" }, { heading: "State" }],
    known.map((integration) => [
      [integration.reference_id, element("span", { class: "small id" }, integration.integration_type)],
      integration.tenant_url,
      element("span", { class: integration.active ? null : "warning" }, integration.active ? "active" : "inactive"),
    ]));
}

function errors({ errors: known }) {
  const past = known.filter((error) => error.over !== null);
  if (past.length === 0) return null;
  return element("details", {},
    element("summary", {}, plural(past.length, "past error", "past errors")),
    table("Past errors", [
      { heading: "Data" }, { heading: "Ended" }, { heading: "Lasted" }, { heading: "Error", kind: "wide" },
      { heading: "What to do", kind: "wide" },
    ], past.map((error) => [
      RESOURCES[error.resource] ?? error.resource,
      ago(error.over),
      span(Date.parse(error.over) - Date.parse(error.first)),
      error.error,
      error.what_to_do,
    ])));
}

/** All accounts at a glance with links, if there are several. */
function overview(accounts) {
  if (accounts.length < 2) return null;
  return element("section", {}, table("Accounts", [
    { heading: "Account" }, { heading: "State", kind: "bare" },
    ...["High", "Medium", "Low"].map((heading) => ({ heading, kind: "number" })),
    { heading: "Users last read" },
  ], accounts.map((status, index) => {
    const [kind, words] = STATES[String(status.up)];
    const count = (level) => status.users === null ? "unknown" : number(status.users.by_level[level]);
    return [
      element("a", { href: `#account-${index}` }, status.account),
      element("span", { class: `state ${kind}` }, words),
      count("high"), count("medium"), count("low"),
      ago(status.resources.summary.last_success),
    ];
  })));
}

const STORAGE = {
  memory: "Counts are kept in memory and start from 0 at each start.",
  disk: "Counts survive restarts.",
  failing: "The state file cannot be written. Counts do not change until it can. See the log.",
};

function render(status) {
  const { state, version } = status;
  morph(document.getElementById("exporter"), element("p", { id: "exporter" },
    `zt-risk-exporter ${version}. `,
    element("span", { class: state.kept === "failing" ? "warning" : null }, STORAGE[state.kept] ?? ""), " ",
    element("span", { class: "small" }, "Updated ", ago(status.now), ".")));
  const main = document.getElementById("accounts");
  morph(main, element("main", { id: "accounts", tabindex: "-1" },
    overview(status.accounts), status.accounts.map(account)));
}

/* The connection. */

const INTERVAL_SECONDS = 5;
const LONGEST_INTERVAL_SECONDS = 60;
const TIMEOUT_SECONDS = 10;

/** The shown document, the timer of the next request, the running request, the number of failures, and since when. */
let latest = null;
let timer = null;
let request = null;
let failures = 0;
let unreachableSince = null;

/** Sets the message about the connection. It is set only when it changes, so that screen readers read it once. */
function setConnectionMessage(words) {
  const place = document.getElementById("connection");
  if (place.textContent !== words) place.textContent = words;
  const isUnreachable = unreachableSince !== null;
  place.className = isUnreachable ? "notice bad" : "";
  document.body.classList.toggle("stale", isUnreachable && latest !== null);
}

/** The status document, or null if there is no answer. */
async function fetchStatus(signal) {
  try {
    const response = await fetch("api/v1/status", { cache: "no-store", signal });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

async function refresh() {
  clearTimeout(timer);
  request?.abort();
  const current = new AbortController();
  request = current;
  const timeout = setTimeout(() => current.abort(), TIMEOUT_SECONDS * 1000);
  const status = await fetchStatus(current.signal);
  clearTimeout(timeout);
  if (current !== request) return;
  failures = status === null ? failures + 1 : 0;
  schedule(Math.min(INTERVAL_SECONDS * 2 ** failures, LONGEST_INTERVAL_SECONDS));
  if (status === null) onFailure();
  else onStatus(status);
}

function onFailure() {
  unreachableSince ??= Date.now();
  const shown = latest === null ? "No data has been read yet." : "The data shown is from before that.";
  setConnectionMessage(`The exporter has not answered since ${clock(unreachableSince)}. ${shown}`);
}

function onStatus(status) {
  // Another version may have another document and comes with its own page.
  if (latest !== null && latest.version !== status.version) {
    location.reload();
    return;
  }
  const isFirst = latest === null;
  [latest, unreachableSince] = [status, null];
  setTime(status.now);
  render(status);
  setConnectionMessage("");
  // The target of the address's fragment did not exist before.
  if (isFirst && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

/** Schedules the next request, unless the page is hidden. */
function schedule(seconds) {
  clearTimeout(timer);
  if (document.visibilityState === "visible") timer = setTimeout(refresh, seconds * 1000);
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") refresh();
  else clearTimeout(timer);
});
setInterval(() => {
  if (document.visibilityState === "visible") document.querySelectorAll("time[data-age]").forEach(tick);
}, 1000);
setConnectionMessage("Connecting to the exporter.");
refresh();
