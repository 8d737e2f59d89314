// Draws what /api/v1/status says, and keeps it up to date. Whatever comes from there is set as text, never as markup.
"use strict";

const INTERVAL_SECONDS = 5;
const LONGEST_INTERVAL_SECONDS = 60;
const PATIENCE_SECONDS = 10;
const HALF_A_DAY = 12 * 3600 * 1000;

/* Times. The exporter's clock counts, not the browser's: ages are right though the two differ. */

/** The latest document, when the exporter wrote it, and when it came by the browser's steady clock. */
let latest = null;
let writtenAt = 0;
let receivedAt = 0;

function now() {
  return writtenAt + (performance.now() - receivedAt);
}

/** In the largest unit of which there are two. */
function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

const two = (number) => String(number).padStart(2, "0");

/** A time of day, with the date if that is not the nearest day of which there is such a time. */
function clock(milliseconds) {
  const date = new Date(milliseconds);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  const isNear = Math.abs(milliseconds - (latest ? now() : Date.now())) < HALF_A_DAY;
  return isNear ? time : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${time}`;
}

const number = (value) => value.toLocaleString("en-US");
const plural = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/* Elements. */

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes and children; what is null or false is left out. */
function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}

/** Makes `old` the same as `wanted` and keeps what is the same already, and with it focus and selection. */
function become(old, wanted) {
  for (const { name } of [...old.attributes]) {
    // Whether details are open is for who looks at them to say.
    if (!wanted.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of [...wanted.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const children = [...wanted.childNodes];
  while (old.childNodes.length > children.length) old.lastChild.remove();
  children.forEach((child, index) => {
    const present = old.childNodes[index];
    if (present === undefined) old.append(child);
    else if (present.nodeName !== child.nodeName) present.replaceWith(child);
    else if (child.nodeType !== Node.ELEMENT_NODE) {
      if (present.data !== child.data) present.data = child.data;
    } else become(present, child);
  });
}

/** How long ago a date is; it goes on by itself. */
function ago(date, words = "never") {
  if (date === null) return words;
  const time = make("time", { datetime: date, title: new Date(date).toString(), "data-age": "" });
  tick(time);
  return time;
}

function tick(time) {
  const text = `${span(now() - Date.parse(time.dateTime))} ago`;
  if (time.textContent !== text) time.textContent = text;
}

/**
 * A table. Columns have a heading, and maybe a class; the first one heads its row. On a narrow screen each row is a
 * block: then the roles are no longer implied, and each cell shows its heading.
 */
function table(caption, columns, rows) {
  const heads = columns.map(({ heading, kind }) =>
    make("th", { scope: "col", role: "columnheader", class: kind ?? null }, heading));
  const body = rows.map((cells) => make("tr", { role: "row" }, cells.map((cell, index) => {
    const { heading, kind } = columns[index];
    const attributes = { "data-heading": heading, class: kind ?? null };
    return index === 0
      ? make("th", { ...attributes, scope: "row", role: "rowheader" }, cell)
      : make("td", { ...attributes, role: "cell" }, cell);
  })));
  return make("table", { role: "table" },
    make("caption", {}, caption),
    make("thead", { role: "rowgroup" }, make("tr", { role: "row" }, heads)),
    make("tbody", { role: "rowgroup" }, body));
}

/* Trends. Coordinates are steps to the right and hundredths of the height down. */

const HEIGHT = 100;

/** The unbroken parts of a trend, as pairs of first and last step. */
function parts(values) {
  const found = [];
  values.forEach((value, step) => {
    if (value === null) return;
    const open = found.at(-1);
    if (open && open[1] === step - 1) open[1] = step;
    else found.push([step, step]);
  });
  return found;
}

/** Since when until when a trend's steps are, from its first known one on, in milliseconds. */
function frame(trend, values) {
  const first = Math.max(0, values.findIndex((value) => value !== null));
  const step = trend.step_seconds * 1000;
  const until = Date.parse(trend.until);
  const known = values.slice(first);
  // What is missing at the end is as much of a hole as one in the middle. A step under way is none.
  const missing = Math.max(0, Math.floor((now() - until) / step));
  return { step, from: until - known.length * step, until, values: known, missing };
}

/** What is not known within a frame, as pairs of first step and end; without an end if it goes on. */
function holes({ values, missing }) {
  const known = parts(values);
  const found = known.slice(1).map(([first], index) => [known[index][1] + 1, first]);
  // The next reading may come late.
  return missing > 1 ? [...found, [values.length, null]] : found;
}

/** The same in words. */
function unknown(shown) {
  const { step, from } = shown;
  const words = holes(shown).map(([first, end]) => end === null
    ? `since ${clock(from + first * step)}`
    : `from ${clock(from + first * step)} to ${clock(from + end * step)}`);
  if (words.length === 0) return "";
  const few = words.length > 3 ? [...words.slice(0, 3), `and ${words.length - 3} times more`] : words;
  return `; nothing is known ${few.join(", ")}`;
}

/** How wide a chart is, and where its first step is: what is not much stays narrow, at the end. */
function placed({ values, missing }) {
  const width = Math.max(12, values.length + missing);
  return { width, offset: width - values.length - missing };
}

/** Bands over what is not known. */
function bands(shown) {
  const { offset } = placed(shown);
  return holes(shown).map(([first, end]) => draw("rect", {
    class: "hole", x: offset + first, y: 0, width: (end ?? shown.values.length + shown.missing) - first, height: HEIGHT,
  }));
}

/** The line of a number that goes up and down. */
function line(trend, values, name) {
  const shown = frame(trend, values);
  const known = shown.values.filter((value) => value !== null);
  if (known.length === 0) return null;
  const [least, most] = [Math.min(...known), Math.max(...known)];
  const last = known.at(-1);
  const { width, offset } = placed(shown);
  const height = (value) => least === most ? HEIGHT / 2 : HEIGHT * (0.92 - 0.84 * (value - least) / (most - least));
  const path = parts(shown.values).map(([first, end]) => {
    const points = shown.values.slice(first, end + 1)
      .map((value, index) => `${offset + first + index + 0.5} ${height(value).toFixed(1)}`);
    // A single point is a line of no length, which its round ends make a dot.
    return `M${points.join("L")}${first === end ? "h0" : ""}`;
  });
  const end = shown.values.findLastIndex((value) => value !== null);
  const extent = least === most ? `always ${number(last)}` : `from ${number(least)} to ${number(most)}, last ${number(last)}`;
  return {
    chart: chart(`${name} since ${clock(shown.from)}: ${extent}${unknown(shown)}`, width, [
      ...bands(shown),
      draw("path", { class: "line", d: path.join("") }),
      draw("path", { class: "end", d: `M${offset + end + 0.5} ${height(last).toFixed(1)}h0` }),
    ]),
    from: shown.from,
    least,
    most,
  };
}

/** A bar for each bucket in which something was counted. */
function bars(trend, values, name) {
  const shown = frame(trend, values);
  const known = shown.values.filter((value) => value !== null);
  if (known.length === 0) return "";
  const most = Math.max(...known);
  const sum = known.reduce((total, value) => total + value, 0);
  const { width, offset } = placed(shown);
  const found = shown.values.map((value, step) => value > 0 && draw("rect", {
    class: "bar", x: offset + step + 0.1, width: 0.8,
    y: (HEIGHT * (1 - value / most)).toFixed(1), height: (HEIGHT * value / most).toFixed(1),
  }));
  const extent = sum === 0 ? "no events" : `${plural(sum, "event", "events")}, at most ${number(most)} within ${span(shown.step)}`;
  return chart(`${name} since ${clock(shown.from)}: ${extent}${unknown(shown)}`, width,
    [...bands(shown), draw("path", { class: "ground", d: `M0 ${HEIGHT}H${width}` }), ...found]);
}

function chart(label, width, content) {
  return draw("svg", {
    role: "img", "aria-label": label, viewBox: `0 0 ${width} ${HEIGHT}`, preserveAspectRatio: "none",
  }, draw("title", {}, label), ...content);
}

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

/** Errors with what is the same for several endpoints said once. */
function grouped(errors) {
  const groups = Map.groupBy(errors, ({ error, what_to_do }) => `${error} ${what_to_do}`);
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

function people({ users }) {
  if (users === null) return make("p", {}, "The list of users was not read yet.");
  const tiles = LEVELS.filter((level) => level !== "unknown" || users.by_level.unknown > 0).map((level) => {
    const name = level === "unknown" ? "of unknown level" : level;
    const trend = users.trend && line(users.trend, users.trend.values[level], `Users at ${level} risk`);
    return make("li", { class: `tile ${level}` },
      make("span", { class: "name" }, name),
      make("strong", {}, number(users.by_level[level])),
      trend && trend.chart,
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
      : [`${number(users.pending)}, since `, ago(users.oldest_pending, "now")]]);
  }
  if (budget) {
    list.push(["Requests left in 5 minutes", `${number(budget.remaining)} of ${number(budget.limit)}`]);
    if (budget.blocked_until) {
      list.push(["Cloudflare blocks requests until", clock(Date.parse(budget.blocked_until))]);
    }
  }
  if (events?.counting_since) list.push(["Events are counted since", clock(Date.parse(events.counting_since))]);
  if (expiry) list.push(["The token expires", clock(Date.parse(expiry))]);
  return make("dl", {}, list.map(([term, words]) => make("div", {}, make("dt", {}, term), make("dd", {}, words))));
}

/** What is known of behaviors, and of what was counted by them: those with the most events lately come first. */
function events({ behaviors, events: counted }) {
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
      values ? bars(counted.trend, values, name) : "",
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

async function ask() {
  clearTimeout(timer);
  asking?.abort();
  const mine = asking = new AbortController();
  const patience = setTimeout(() => mine.abort(), PATIENCE_SECONDS * 1000);
  try {
    const response = await fetch("api/v1/status", { cache: "no-store", signal: mine.signal });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const status = await response.json();
    if (mine !== asking) return;
    // Another version may say it in another way, and brings a page of its own.
    if (latest !== null && latest.version !== status.version) return void location.reload();
    [latest, writtenAt, receivedAt] = [status, Date.parse(status.now), performance.now()];
    [failures, silentSince] = [0, null];
    show(status);
    tell("");
  } catch {
    if (mine !== asking) return;
    failures += 1;
    silentSince ??= Date.now();
    tell(`The exporter does not answer since ${clock(silentSince)}. `
      + (latest === null ? "Nothing was read yet." : "What is shown was read before that."));
  } finally {
    clearTimeout(patience);
  }
  plan(Math.min(INTERVAL_SECONDS * 2 ** failures, LONGEST_INTERVAL_SECONDS));
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
