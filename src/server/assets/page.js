// Draws what /api/v1/status says, and keeps it up to date.

import { ago, bars, become, clock, line, make, number, plural, setTime, span, table, tick } from "./draw.js";

/* Accounts. */

const LEVELS = ["high", "medium", "low", "unknown"];
const ENDPOINTS = {
  summary: "List of users", user: "Events of single users", behaviors: "Behaviors", integrations: "Integrations",
};
const STATES = {
  true: ["good", "up to date"],
  false: ["bad", "users could not be read"],
  null: ["plain", "not asked yet"],
};

function account(status, index) {
  const id = `account-${index}`;
  const [kind, words] = STATES[String(status.up)];
  const going = status.errors.filter((error) => error.over === null);
  return make("section", { "aria-labelledby": id },
    make("h2", { id }, status.account, " ", make("span", { class: `state ${kind}` }, words)),
    grouped(going).map(trouble),
    people(status),
    facts(status),
    events(status),
    make("div", { class: "columns" }, freshness(status), integrations(status)),
    errors(status));
}

/** Errors with what is the same for several endpoints said once, though every answer has a CF-Ray id of its own. */
function grouped(errors) {
  const groups = Map.groupBy(errors, ({ error, what_to_do }) => `${error.replace(/, CF-Ray \w+(-\w+)?/, "")} ${what_to_do}`);
  return [...groups.values()].map((group) => ({
    ...group[0],
    endpoints: group.map(({ endpoint }) => ENDPOINTS[endpoint] ?? endpoint).sort(),
    first: group.map(({ first }) => first).sort()[0],
    last: group.map(({ last }) => last).sort().at(-1),
    times: group.reduce((sum, { times }) => sum + times, 0),
  }));
}

function trouble({ endpoints, error, what_to_do: advice, first, last, times }) {
  return make("div", { class: "notice bad" },
    make("p", {}, make("strong", {}, `${endpoints.join(", ")}: `), error),
    make("p", {}, advice),
    make("p", { class: "small" }, "First ", ago(first), ", last ", ago(last), `, ${plural(times, "time", "times")}.`));
}

function people({ users, endpoints }) {
  const interval = endpoints.summary.interval_seconds ?? 0;
  if (users === null) return make("p", {}, "The list of users was not read yet.");
  const tiles = LEVELS.filter((level) => level !== "unknown" || users.by_level.unknown > 0).map((level) => {
    const name = level === "unknown" ? "of unknown level" : level;
    const trend = users.trend && line(users.trend, users.trend.values[level], interval, `Users at ${level} risk`);
    return make("li", { class: `tile ${level}` },
      make("span", { class: "name" }, name),
      make("strong", {}, number(users.by_level[level])),
      trend?.chart,
      trend && make("span", { class: "small range" },
        make("span", {}, `since ${clock(trend.from)}`),
        make("span", {}, trend.least === trend.most ? "no change" : `${number(trend.least)} to ${number(trend.most)}`)));
  });
  return make("div", {}, make("h3", {}, "Users at risk"), make("ul", { class: "tiles" }, tiles));
}

function facts({ users, events, budget, token_expiry: expiry }) {
  const list = [];
  if (users) {
    list.push(["Users whose events are still to be read", users.pending === 0
      ? "none"
      : [`${number(users.pending)}, the first one `, ago(users.oldest_pending, "now")]]);
  }
  if (budget) {
    list.push(["Requests left in 5 minutes", `${number(budget.remaining)} of ${number(budget.limit)}`]);
    if (budget.blocked_until) {
      list.push(["Cloudflare blocks requests until", clock(Date.parse(budget.blocked_until))]);
    }
  }
  if (events?.counting_since) list.push(["Events are counted since", clock(Date.parse(events.counting_since))]);
  if (expiry) list.push(["The token expires", clock(Date.parse(expiry))]);
  return list.length > 0 && make("dl", {}, list.map(([term, words]) => make("div", {}, make("dt", {}, term), make("dd", {}, words))));
}

/** What is known of behaviors, and of what was counted by them: those with the most events lately come first. */
function events({ behaviors, events: counted, endpoints }) {
  const interval = endpoints.summary.interval_seconds ?? 0;
  if (behaviors === null && counted === null) return make("p", {}, "Behaviors were not read yet.");
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
      [name, name === label ? null : make("span", { class: "small id" }, label)],
      behavior?.enabled ? "enabled" : make("span", { class: "faint" }, behavior ? "disabled" : "not listed"),
      behavior ? make("span", { class: `level ${behavior.risk_level}` }, behavior.risk_level) : "unknown",
    ];
    return counted === null ? settings : [
      ...settings,
      number(by(label).total),
      number(by(label).recent),
      values ? bars(counted.trend, values, interval, name) : "",
    ];
  });
  const columns = [{ heading: "Behavior" }, { heading: "State" }, { heading: "Level" }];
  if (counted === null) return table("Behaviors, of which no events are counted yet", columns, rows);
  const hours = counted.trend ? span(counted.trend.step_seconds * 36000) : "the last hours";
  return table("Behaviors and their events", [
    ...columns,
    { heading: "Events", kind: "number" }, { heading: `In ${hours}`, kind: "number" }, { heading: "Trend", kind: "trend" },
  ], rows);
}

function freshness({ endpoints }) {
  const rows = Object.entries(ENDPOINTS).filter(([endpoint]) => endpoints[endpoint]).map(([endpoint, name]) => {
    const { last_success: read, interval_seconds: interval, rejected_rows: rejected } = endpoints[endpoint];
    return [name, ago(read), interval === null ? "on change" : `every ${brief(interval)}`, number(rejected)];
  });
  return table("Freshness", [
    { heading: "What" }, { heading: "Last read" }, { heading: "Is read" }, { heading: "Rows left out", kind: "number" },
  ], rows);
}

const brief = (seconds) => seconds < 10 ? `${Number(seconds.toPrecision(2))} s` : span(seconds * 1000);

function integrations({ integrations: known }) {
  if (known === null) return make("p", {}, "Integrations were not read yet.");
  if (known.length === 0) return make("p", {}, "No integration is told of changes of risk.");
  return table("Integrations", [{ heading: "Integration", kind: "wide" }, { heading: "Tenant", kind: "wide" }, { heading: "State" }],
    known.map((integration) => [
      [integration.reference_id, make("span", { class: "small id" }, integration.integration_type)],
      integration.tenant_url,
      make("span", { class: integration.active ? null : "warning" }, integration.active ? "active" : "inactive"),
    ]));
}

function errors({ errors: known }) {
  const past = known.filter((error) => error.over !== null);
  if (past.length === 0) return null;
  return make("details", {},
    make("summary", {}, `${plural(past.length, "error", "errors")} that ${past.length === 1 ? "is" : "are"} over`),
    table("Errors that are over", [
      { heading: "What" }, { heading: "Over" }, { heading: "Lasted" }, { heading: "Error", kind: "wide" },
      { heading: "What to do", kind: "wide" },
    ], past.map((error) => [
      ENDPOINTS[error.endpoint] ?? error.endpoint,
      ago(error.over),
      span(Date.parse(error.over) - Date.parse(error.first)),
      error.error,
      error.what_to_do,
    ])));
}

/** Where there are several accounts: all of them at a glance, with links. */
function overview(accounts) {
  if (accounts.length < 2) return null;
  return make("section", {}, table("Accounts", [
    { heading: "Account" }, { heading: "State", kind: "bare" },
    ...["High", "Medium", "Low"].map((heading) => ({ heading, kind: "number" })),
    { heading: "Users last read" },
  ], accounts.map((status, index) => {
    const [kind, words] = STATES[String(status.up)];
    const count = (level) => status.users === null ? "unknown" : number(status.users.by_level[level]);
    return [
      make("a", { href: `#account-${index}` }, status.account),
      make("span", { class: `state ${kind}` }, words),
      count("high"), count("medium"), count("low"),
      ago(status.endpoints.summary.last_success),
    ];
  })));
}

const KEPT = {
  memory: "Counts are kept in memory and begin anew with each start.",
  disk: "Counts survive restarts.",
  failing: "The state cannot be written: counts stand still until it can. See the log.",
};

function show(status) {
  const { state, version } = status;
  become(document.getElementById("exporter"), make("p", { id: "exporter" },
    `zt-risk-exporter ${version}. `,
    make("span", { class: state.kept === "failing" ? "warning" : null }, KEPT[state.kept] ?? ""), " ",
    make("span", { class: "small" }, "Updated ", ago(status.now), ".")));
  const main = document.getElementById("accounts");
  become(main, make("main", { id: "accounts", tabindex: "-1" },
    overview(status.accounts), status.accounts.map(account)));
}

/* The connection. */

const INTERVAL_SECONDS = 5;
const LONGEST_INTERVAL_SECONDS = 60;
const PATIENCE_SECONDS = 10;

/** What is shown, the next attempt, the one under way, how many failed, and since when. */
let latest = null;
let timer = null;
let asking = null;
let failures = 0;
let silentSince = null;

/** The words are set only when they change, so that they are read out once. */
function tell(words) {
  const place = document.getElementById("connection");
  if (place.textContent !== words) place.textContent = words;
  const isSilent = silentSince !== null;
  place.className = isSilent ? "notice bad" : "";
  document.body.classList.toggle("stale", isSilent && latest !== null);
}

/** The status, or null if none comes. */
async function read(signal) {
  try {
    const response = await fetch("api/v1/status", { cache: "no-store", signal });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  const patience = setTimeout(() => mine.abort(), PATIENCE_SECONDS * 1000);
  const status = await read(mine.signal);
  clearTimeout(patience);
  if (mine !== asking) return;
  failures = status === null ? failures + 1 : 0;
  plan(Math.min(INTERVAL_SECONDS * 2 ** failures, LONGEST_INTERVAL_SECONDS));
  if (status === null) lost();
  else found(status);
}

function lost() {
  silentSince ??= Date.now();
  const kept = latest === null ? "Nothing was read yet." : "What is shown was read before that.";
  tell(`The exporter does not answer since ${clock(silentSince)}. ${kept}`);
}

function found(status) {
  // Another version may say it in another way, and brings a page of its own.
  if (latest !== null && latest.version !== status.version) {
    location.reload();
    return;
  }
  const isFirst = latest === null;
  [latest, silentSince] = [status, null];
  setTime(status.now);
  show(status);
  tell("");
  // What the address leads to was not there before.
  if (isFirst && location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

/** Asks again later, unless nobody looks. */
function plan(seconds) {
  clearTimeout(timer);
  if (document.visibilityState === "visible") timer = setTimeout(ask, seconds * 1000);
}

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") ask();
  else clearTimeout(timer);
});
setInterval(() => {
  if (document.visibilityState === "visible") document.querySelectorAll("time[data-age]").forEach(tick);
}, 1000);
tell("Asking the exporter.");
ask();
