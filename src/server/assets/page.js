// Shows the document at /api/v1/status and keeps it up to date: the overview, or the page of the account in the address.

import { account } from "./account.js";
import { showTooltips } from "./charts.js";
import { enableCopying } from "./commands.js";
import { ago, clock, element, morph, now, setTime, tick, zone } from "./draw.js";
import { sourceTrouble } from "./health.js";
import { overview } from "./overview.js";

const TITLE = document.title;

const STORAGE = {
  memory: "Counts are kept in memory and start from 0 at each start.",
  disk: "Counts survive restarts.",
  failing: "The state file cannot be written. Counts do not change until it can. See the log.",
};

/* The address. */

/** The id of the account in the address, or null. */
function addressedAccount() {
  return /^#\/account\/([0-9a-f]{32})$/.exec(location.hash)?.[1] ?? null;
}

/** The id of the only account, which needs no overview. */
let onlyAccount = null;

const OVERVIEW = "api/v1/status?view=overview";

/** Where the document of the shown page is. That of the only account has all accounts, because there may be others later. */
function address() {
  const id = addressedAccount();
  if (id !== null) return `api/v1/status?account=${id}`;
  return onlyAccount === null ? OVERVIEW : "api/v1/status";
}

/* What is shown. */

function content(status) {
  const id = addressedAccount();
  const trouble = sourceTrouble(status);
  if (id === null && onlyAccount === null) return [trouble, ...overview(status)];
  const found = status.accounts.find((known) => known.account_id === (id ?? onlyAccount));
  return [
    trouble,
    id !== null && element("p", { class: "back" }, element("a", { href: "#/" }, "All accounts")),
    found ? account(found, status.trend_seconds)
      : element("section", {}, element("h2", { tabindex: "-1" }, "No such account"),
        element("p", {}, "The exporter does not watch it, or no longer.")),
  ];
}

function render(status) {
  const { state, version } = status;
  morph(document.getElementById("exporter"), element("p", { id: "exporter" },
    `zt-risk-exporter ${version}. `,
    element("span", { class: state.kept === "failing" ? "warning" : null }, STORAGE[state.kept] ?? ""), " ",
    element("span", { class: "small" }, "Updated ", ago(status.now), `. Times are ${zone}.`)));
  // Rows change places, and the focus stays with its account.
  const { id } = document.activeElement;
  morph(document.getElementById("accounts"), element("main", { id: "accounts", tabindex: "-1" }, content(status)));
  if (id && document.activeElement.id !== id) document.getElementById(id)?.focus({ preventScroll: true });
  const shown = addressedAccount() === null ? "" : document.querySelector("h2").textContent;
  document.title = shown ? `${shown} - ${TITLE}` : TITLE;
}

/* The connection. */

const INTERVAL_SECONDS = 5;
const LONGEST_INTERVAL_SECONDS = 60;
const TIMEOUT_SECONDS = 10;

/** A document older than this is asked for again even if it is unchanged, because it sets the page's clock. */
const FRESH_SECONDS = 60;

/** The latest documents of the overview and of one account, by address: the status, its tag, and when it came. */
let documents = new Map();
let version = null;

/** The timer of the next request, the running request, the number of failures, and since when. */
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
  document.body.classList.toggle("stale", isUnreachable && documents.has(address()));
}

/** The document at an address, the known one if it has not changed, or null if there is no answer. */
async function fetchDocument(from, signal) {
  const known = documents.get(from);
  const isFresh = known && performance.now() - known.received < FRESH_SECONDS * 1000;
  try {
    const headers = isFresh ? { "If-None-Match": known.tag } : {};
    const response = await fetch(from, { cache: "no-store", headers, signal });
    if (response.status === 304) return { ...known, status: { ...known.status, now: new Date(now()).toISOString() } };
    if (!response.ok) return null;
    const status = await response.json();
    return { status, tag: response.headers.get("ETag") ?? "", received: performance.now(), isNew: true };
  } catch {
    return null;
  }
}

async function refresh() {
  clearTimeout(timer);
  request?.abort();
  const current = new AbortController();
  request = current;
  const from = address();
  const timeout = setTimeout(() => current.abort(), TIMEOUT_SECONDS * 1000);
  const fetched = await fetchDocument(from, current.signal);
  clearTimeout(timeout);
  if (current !== request) return;
  failures = fetched === null ? failures + 1 : 0;
  schedule(Math.min(INTERVAL_SECONDS * 2 ** failures, LONGEST_INTERVAL_SECONDS));
  if (fetched === null) onFailure();
  else onDocument(from, fetched);
}

function onFailure() {
  unreachableSince ??= Date.now();
  const shown = documents.has(address()) ? "The data shown is from before that." : "No data has been read yet.";
  setConnectionMessage(`The exporter has not answered since ${clock(unreachableSince)}. ${shown}`);
}

function onDocument(from, fetched) {
  const { status, tag, received, isNew } = fetched;
  // Another version may have another document and comes with its own page.
  if (version !== null && version !== status.version) {
    location.reload();
    return;
  }
  version = status.version;
  unreachableSince = null;
  if (isNew) setTime(status.now);
  const kept = [...documents].filter(([address]) => (address === OVERVIEW) !== (from === OVERVIEW));
  documents = new Map([...kept, [from, { status, tag, received }]]);
  if (from === OVERVIEW && status.accounts.length === 1) {
    onlyAccount = status.accounts[0].account_id;
    refresh();
    return;
  }
  if (from === "api/v1/status" && status.accounts.length !== 1) {
    onlyAccount = null;
    refresh();
    return;
  }
  render(status);
  setConnectionMessage("");
}

/** Shows another page: at once if it is known, and then what the exporter says now. */
function onAddress() {
  const known = documents.get(address());
  if (known) render(known.status);
  else morph(document.getElementById("accounts"), element("main", { id: "accounts", tabindex: "-1" }, element("p", {}, "Loading.")));
  window.scrollTo(0, 0);
  document.getElementById("accounts").focus({ preventScroll: true });
  refresh();
}

/** Schedules the next request, unless the page is hidden. */
function schedule(seconds) {
  clearTimeout(timer);
  if (document.visibilityState === "visible") timer = setTimeout(refresh, seconds * 1000);
}

window.addEventListener("hashchange", onAddress);
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") refresh();
  else clearTimeout(timer);
});
// The fragment of the address names the page, so this link cannot.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("accounts").focus();
});
setInterval(() => {
  if (document.visibilityState === "visible") document.querySelectorAll("time[data-age]").forEach(tick);
}, 1000);
showTooltips(document.getElementById("tooltip"));
enableCopying(document.getElementById("copied"));
setConnectionMessage("Connecting to the exporter.");
refresh();
