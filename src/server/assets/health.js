// Words for the health of an account's data, and for the verdict on its risk. These are two things: each has its own pill,
// and green is for both together.

import { ago, element, number, plural } from "./draw.js";

export const LEVELS = ["high", "medium", "low", "unknown"];
export const RESOURCES = {
  summary: "List of users", user: "Events of single users", behaviors: "Behaviors", integrations: "Integrations",
  credential_file: "Credential file", baseline_file: "Baseline of behaviors",
};
const CAUSES = {
  token: "token refused",
  credential_file: "credential file unusable",
  permission: "permission missing",
  plan: "not in the plan",
  account: "account not found",
  rate_limit: "rate limit reached",
  network: "Cloudflare unreachable",
  answer: "unexpected answer",
  user: "one user unreadable",
  baseline_file: "baseline unusable",
};

/** The worst state has the highest rank. */
const STATES = {
  failing: { rank: 3, tone: "bad", words: "failing" },
  degraded: { rank: 2, tone: "warn", words: "partly failing" },
  waiting: { rank: 1, tone: "plain", words: "not read yet" },
  up_to_date: { rank: 0, tone: "plain", words: "up to date" },
};

/** A state that a later version of the exporter knows is shown as it is called. */
const known = ({ state }) => STATES[state] ?? { rank: 3, tone: "warn", words: state };

export const toneOf = (health) => known(health).tone;
export const rankOf = (health) => known(health).rank;
export const isInTrouble = (health) => known(health).rank > 1;

/** What is in the way, in words. */
export function causeOf({ cause }) {
  return cause === null ? "overdue" : CAUSES[cause] ?? cause;
}

function pill(tone, ...words) {
  return element("span", { class: `pill ${tone}` }, words);
}

/** The state of the data, with the cause. */
export function healthPill({ health }) {
  const { tone, words } = known(health);
  if (!isInTrouble(health)) return pill(tone, words);
  return pill(tone, element("span", { class: "prefix" }, `${words}: `), causeOf(health));
}

/** The verdict on the risk: what is known of it, which is not green while the data is not right. */
export function verdictPill({ health, users }) {
  if (users === null) return pill("plain", "risk not known");
  const asKnown = health.state === "failing" ? ", last known" : "";
  const { high, medium, unknown } = users.by_level;
  if (high > 0) return pill("bad", `${number(high)} at high risk${asKnown}`);
  if (unknown > 0) return pill("warn", `${number(unknown)} of unknown level${asKnown}`);
  if (medium > 0) return pill("warn", `${number(medium)} at medium risk${asKnown}`);
  return pill(health.state === "up_to_date" ? "good" : "plain", `nobody above low risk${asKnown}`);
}

const warning = (words, ...rest) => element("li", {}, element("strong", { class: "warn" }, words), rest);

/** What is wrong in the directory of tokens. */
function tokenFileTrouble(files) {
  if (files === null) return [];
  const { used, problems, problems_omitted: omitted } = files;
  return [
    used === 0 && problems.length === 0 && warning("No token files", " in accounts_from.tokens_dir"),
    ...problems.map(({ file, result, reason }) =>
      warning(`Token file: ${result.replaceAll("_", " ")}`, ` ${file}: ${reason}`)),
    omitted > 0 && element("li", {}, `and ${plural(omitted, "more file", "more files")}`),
  ].filter(Boolean);
}

/** What is in the way of finding accounts with a token, and which of them are not watched. */
function discoveryTrouble({ token_file: file, problem, not_entitled: names, not_entitled_omitted: omitted }) {
  const others = omitted > 0 ? ` and ${number(omitted)} more` : "";
  return [
    problem !== null && warning("Accounts cannot be found", ` with ${file}: ${problem}`),
    names.length > 0 && element("li", {},
      `Without user risk scoring, found with ${file} and tried once a day: ${names.join(", ")}${others}`),
  ].filter(Boolean);
}

/** What is wrong with the sources of accounts: a section, or nothing. */
export function sourceTrouble({ token_files: files, discovery }) {
  const lines = [...tokenFileTrouble(files), ...discovery.flatMap(discoveryTrouble)];
  if (lines.length === 0) return null;
  return element("section", { class: "trouble", "aria-label": "Sources of accounts" }, element("ul", {}, lines));
}

/** How many accounts of a cause have a link. The list has all. */
const LINKED = 3;

/** Groups what is in the way in several accounts: one cause is one line. The worst is first. */
export function commonCauses(accounts) {
  const troubled = accounts.filter(({ health }) => isInTrouble(health));
  const groups = Map.groupBy(troubled, ({ health }) => `${health.state} ${health.cause}`);
  return [...groups.values()]
    .sort(([a, ...others], [b, ...more]) => rankOf(b.health) - rankOf(a.health) || more.length - others.length)
    .map((group) => {
      const [{ health }] = group;
      const since = group.map((account) => account.health.since).filter((date) => date !== null).sort()[0];
      return element("li", {},
        element("strong", { class: toneOf(health) },
          element("span", { class: "prefix" }, `${known(health).words}: `), causeOf(health)),
        ` in ${plural(group.length, "account", "accounts")}`,
        since && element("span", { class: "first" }, ", first ", ago(since)),
        element("span", { class: "links" }, ": ",
          group.slice(0, LINKED).flatMap(({ account, account_id: id }, index) =>
            [index > 0 && ", ", element("a", { href: `#/account/${id}` }, account)]),
          group.length > LINKED && ` and ${number(group.length - LINKED)} more`));
    });
}
