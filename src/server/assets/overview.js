// All accounts at a glance, with links to their pages.

import { ago, element, number, plural, span, table } from "./draw.js";
import { commonCauses, healthPill, LEVELS, rankOf } from "./health.js";

/** How many accounts are listed at once: they take no more than two screens. */
const LISTED = 40;

/** The failing accounts first, then by users at risk. */
function inOrder(accounts) {
  const risk = ({ users }, level) => users?.by_level[level] ?? -1;
  // An account that was not read yet is in no trouble.
  const trouble = ({ health }) => Math.max(1, rankOf(health));
  return [...accounts].sort((a, b) => trouble(b) - trouble(a)
    || risk(b, "high") - risk(a, "high") || risk(b, "medium") - risk(a, "medium")
    || a.account.localeCompare(b.account, "en", { numeric: true }));
}

function listing(caption, accounts, hours) {
  return table(caption, [
    { heading: "Account" }, { heading: "Data", kind: "bare" }, { heading: "High", kind: "number level high" },
    { heading: "Medium", kind: "number" }, { heading: "Low", kind: "number" },
    { heading: `Events in ${hours}`, kind: "number" }, { heading: "Users last read" },
  ], accounts.map((status) => {
    const count = (level) => status.users === null ? "–" : number(status.users.by_level[level]);
    const high = status.users?.by_level.high ?? 0;
    return [
      element("a", { id: `account-${status.account_id}`, href: `#/account/${status.account_id}` }, status.account),
      healthPill(status),
      element("span", { class: high > 0 ? null : "none" }, count("high")),
      count("medium"), count("low"),
      status.events === null ? "–" : number(status.events.recent),
      ago(status.resources.summary.last_success),
    ];
  }));
}

function totals(accounts, hours, dashboard) {
  const read = accounts.filter(({ users }) => users !== null);
  const sum = (value) => accounts.reduce((total, account) => total + (value(account) ?? 0), 0);
  const tiles = LEVELS.map((level) => [level, sum(({ users }) => users?.by_level[level])])
    .filter(([level, count]) => level !== "unknown" || count > 0)
    .map(([level, count]) => element("li", { class: `tile ${level}` },
      element("span", { class: "name" }, level === "unknown" ? "of unknown level" : level),
      element("strong", {}, read.length === 0 ? "–" : number(count))));
  const states = Map.groupBy(accounts, ({ health }) => health.state);
  const having = (state, words) => states.has(state) && `${number(states.get(state).length)} ${words}`;
  const words = [
    having("failing", "failing"), having("degraded", "partly failing"), having("waiting", "not read yet"),
    having("up_to_date", "up to date"),
  ].filter(Boolean).join(", ");
  const facts = [
    [plural(accounts.length, "account", "accounts"), words],
    [`Events in ${hours}`, number(sum(({ events }) => events?.recent))],
    ["Users with unread events", number(sum(({ users }) => users?.pending))],
    dashboard !== null && ["Dashboard", element("a", { href: dashboard }, "Overview in Grafana")],
  ].filter(Boolean);
  const missing = accounts.length - read.length;
  return [
    element("h2", { tabindex: "-1" }, "Users at risk", missing > 0 && element("span", { class: "small" },
      `without ${plural(missing, "account that was", "accounts that were")} never read`)),
    element("ul", { class: "tiles totals" }, tiles),
    element("dl", {}, facts.map(([term, fact]) =>
      element("div", {}, element("dt", {}, term), element("dd", {}, fact)))),
  ];
}

/** The overview of a document with its accounts, whole or not. */
export function overview({ accounts, dashboard, trend_seconds: seconds }) {
  if (accounts.length === 0) return [element("section", {}, element("h2", { tabindex: "-1" }, "No accounts are configured"))];
  const hours = span(seconds * 1000);
  const sorted = inOrder(accounts);
  const causes = commonCauses(sorted);
  const others = sorted.slice(LISTED);
  return [
    causes.length > 0 && element("section", { class: "trouble", "aria-label": "Trouble" },
      element("ul", {}, causes)),
    element("section", { class: "overview" }, totals(accounts, hours, dashboard)),
    element("section", { class: "listing" }, listing("Accounts", sorted.slice(0, LISTED), hours),
      others.length > 0 && element("details", {},
        element("summary", {}, plural(others.length, "more account", "more accounts")),
        listing("More accounts", others, hours))),
  ];
}
