// The page of one account.

import { bars, barLegend, gapLegend, line, topOfScale } from "./charts.js";
import { command, copyButton } from "./commands.js";
import { ago, clock, element, number, plural, span, table, zone } from "./draw.js";
import { healthPill, LEVELS, RESOURCES, toneOf, verdictPill } from "./health.js";

/** The page of an account of a document. */
export function account(status, seconds) {
  const ongoing = status.errors.filter((error) => error.over === null);
  return element("section", { "aria-labelledby": "name" },
    element("h2", { id: "name", tabindex: "-1" }, status.account),
    element("ul", { class: "pills" },
      element("li", {}, element("span", { class: "small" }, "Data "), healthPill(status)),
      element("li", {}, element("span", { class: "small" }, "Risk "), verdictPill(status)),
      element("li", { class: "small" }, "Users last read ", ago(status.resources.summary.last_success), "."),
      element("li", { class: "small id" }, status.account_id)),
    grouped(ongoing).map((group) => errorNotice(group, toneOf(status.health))),
    links(status),
    people(status),
    highRisk(status),
    facts(status),
    drift(status),
    events(status, seconds),
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

/** Links to the same account elsewhere. */
function links({ links: { overview, users, cloudflare } }) {
  const list = [[cloudflare, "Users at risk at Cloudflare"], [overview, "Overview in Grafana"], [users, "Users in Grafana"]];
  return element("ul", { class: "links" }, list.filter(([address]) => address !== null)
    .map(([address, words]) => element("li", {}, element("a", { href: address }, words))));
}

function errorNotice({ resources, error, what_to_do: advice, first, last, times }, tone) {
  return element("div", { class: `notice ${tone}` },
    element("p", {}, element("strong", {}, `${resources.join(", ")}: `), error),
    element("p", {}, advice),
    element("p", { class: "small" }, "First ", ago(first), ", last ", ago(last), `, ${plural(times, "time", "times")}.`));
}

function people({ users, resources }) {
  const interval = resources.summary.interval_seconds ?? 0;
  if (users === null) return element("p", {}, "The list of users has not been read yet.");
  const tiles = LEVELS.filter((level) => level !== "unknown" || users.by_level.unknown > 0).map((level) => {
    const name = level === "unknown" ? "of unknown level" : level;
    return element("li", { class: `tile ${level}` },
      element("span", { class: "name" }, name),
      element("strong", {}, number(users.by_level[level])),
      users.trend && line(users.trend, users.trend.values[level], interval, `Users at ${level} risk`));
  });
  return element("div", {},
    element("h3", {}, "Users at risk"),
    element("ul", { class: "tiles" }, tiles),
    users.trend && gapLegend([{ trend: users.trend, interval }]));
}

/** The users at high risk, under the names that the metrics give them, and the commands about them. */
function highRisk(status) {
  const listed = status.users?.high_risk ?? [];
  const omitted = status.users?.high_risk_omitted ?? 0;
  if (listed.length + omitted === 0) return null;
  const list = command(status, "users", "--level", "high");
  const rows = listed.map(({ user, name, email, since, last_event: event, reported_events: count }) => [
    [name || email || user, (name || email) && element("span", { class: "small id" }, name && email ? `${email} ${user}` : user)],
    ago(since),
    ago(event, "unknown"),
    count === null ? "unknown" : number(count),
    [
      copyButton("Copy user", command(status, "user", user)), " ",
      copyButton("Copy reset", command(status, "reset", user)),
    ],
  ]);
  return element("div", {},
    listed.length === 0 ? element("h3", {}, "Users at high risk") : table("Users at high risk", [
      { heading: "User", kind: "wide" }, { heading: "At high risk since" }, { heading: "Last event" },
      { heading: "Events", kind: "number" }, { heading: "Commands", kind: "bare" },
    ], rows),
    omitted > 0 && element("p", {}, listed.length === 0
      ? `${plural(omitted, "user is", "users are")} not named here, because users.identity and users.limit allow no names.`
      : `${plural(omitted, "more user is", "more users are")} not listed here.`),
    element("p", { class: "command" }, element("code", {}, list), " ", copyButton("Copy", list)));
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
    if (budget.blocked_until) list.push(["No requests are sent until", `${clock(Date.parse(budget.blocked_until))} ${zone}`]);
  }
  if (events?.counting_since) list.push(["Events counted since", `${clock(Date.parse(events.counting_since))} ${zone}`]);
  if (expiry) list.push(["The token expires", `${clock(Date.parse(expiry))} ${zone}`]);
  return list.length > 0 && element("dl", {}, list.map(([term, words]) => element("div", {}, element("dt", {}, term), element("dd", {}, words))));
}

/** How the behaviors differ from the baseline, if there is one, and the command that shows it. */
function drift(status) {
  if (status.drift === null) return null;
  const { declared, drifted, undeclared } = status.drift;
  const names = new Map((status.behaviors ?? []).map(({ behavior, name }) => [behavior, name]));
  const others = undeclared.length > 0 && element("p", { class: "small" },
    `${plural(undeclared.length, "behavior is", "behaviors are")} not in the baseline: ${undeclared.join(", ")}.`);
  if (drifted.length === 0) {
    return element("div", {},
      element("p", {}, `No difference from the baseline, which has ${plural(declared, "behavior", "behaviors")}.`), others);
  }
  const diff = command(status, "behaviors diff");
  return element("div", { class: "notice warn" },
    element("p", {}, element("strong", {}, `${plural(drifted.length, "behavior differs", "behaviors differ")} from the baseline`)),
    element("ul", {}, drifted.map((behavior) => element("li", {},
      names.get(behavior.behavior) ?? behavior.behavior, ": ", differences(behavior)))),
    others,
    element("p", { class: "command" }, element("code", {}, diff), " ", copyButton("Copy", diff)));
}

/** The settings in which a behavior differs, in words. */
function differences({ settings, enabled, risk_level: level, enabled_declared: wanted, risk_level_declared: declared }) {
  const state = (value) => value ? "enabled" : "disabled";
  const words = {
    missing: "does not exist",
    enabled: `is ${state(enabled)}, should be ${state(wanted)}`,
    risk_level: `level is ${level}, should be ${declared}`,
  };
  return settings.map((setting) => words[setting] ?? setting).join("; ");
}

/** What to say of a behavior that is not known to be enabled. */
function setting(behavior) {
  if (!behavior) return "not listed";
  return behavior.enabled === null ? "unknown" : "disabled";
}

/** The behaviors and their events. Those with the most recent events come first. */
function events({ behaviors, events: counted, resources }, seconds) {
  const interval = resources.summary.interval_seconds ?? 0;
  if (behaviors === null && counted === null) return element("p", {}, "Behaviors have not been read yet.");
  const listed = new Map((behaviors ?? []).map((behavior) => [behavior.behavior, behavior]));
  const counts = counted?.by_behavior ?? {};
  const labels = [...new Set([...listed.keys(), ...Object.keys(counts)])];
  const by = (label) => counts[label] ?? { total: 0, recent: 0 };
  labels.sort((a, b) => by(b).recent - by(a).recent || by(b).total - by(a).total || (a < b ? -1 : 1));
  // All bars have one scale, so that the behaviors can be compared.
  const top = topOfScale(Math.max(...Object.values(counted?.trend?.values ?? {}).flat().map(Number)));
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
      values ? bars(counted.trend, values, interval, name, top) : "",
    ];
  });
  const columns = [{ heading: "Behavior" }, { heading: "State" }, { heading: "Level" }];
  if (counted === null) return table("Behaviors (no events counted yet)", columns, rows);
  return element("div", {},
    table("Behaviors and their events", [
      ...columns,
      { heading: "Events", kind: "number" }, { heading: `In ${span(seconds * 1000)}`, kind: "number" },
      { heading: "Trend", kind: "trend" },
    ], rows),
    counted.trend && element("p", { class: "small" }, barLegend(counted.trend, interval, top)),
    counted.trend && gapLegend([{ trend: counted.trend, interval }]));
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
