// Compares the live page in a browser with the true values of the simulator.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";

import axe from "axe-core";
import { chromium } from "playwright-core";

import { documentOf, GOLDEN, idOf } from "./accounts.mjs";
import { ACME, BRANCH, MARKUP, Simulation, USER, until } from "./simulation.mjs";

const STATUS = /\/api\/v1\/status/;
const SIZES = [360, 1600];
const SCHEMES = ["light", "dark"];

let browser, simulation, context, page, browserErrors;

before(async () => {
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args });
  simulation = await Simulation.start();
  await until("the accounts are read", async () => {
    const [acme, branch] = (await simulation.status()).accounts;
    assert.ok(acme.events && acme.behaviors && acme.integrations && branch.errors.length > 0);
  });
});

after(async () => {
  await browser?.close();
  await simulation?.end();
});

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1600, height: 900 }, locale: "en-US", timezoneId: "UTC" });
  page = await openTab(context);
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(browserErrors, []);
});

/** A tab that records errors, warnings and policy violations. */
async function openTab(context) {
  browserErrors = [];
  const tab = await context.newPage();
  tab.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) browserErrors.push(message.text());
  });
  tab.on("pageerror", (error) => browserErrors.push(String(error)));
  await tab.exposeFunction("reportError", (text) => browserErrors.push(text));
  await tab.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      window.reportError(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return tab;
}

async function openPage(address = simulation.url) {
  await page.goto(address);
  await page.locator("h2").first().waitFor();
}

const openAccount = (id) => openPage(`${simulation.url}#/account/${id}`);

/** Answers with this document instead of the exporter's, as the exporter would answer. */
async function serve(status) {
  await page.unroute(STATUS);
  await page.route(STATUS, (route) => {
    const id = new URL(route.request().url()).searchParams.get("account");
    const accounts = status.accounts.filter((account) => id === null || account.account_id === id);
    return route.fulfill({ json: { ...status, accounts } });
  });
}

/** Opens the page of the first account with a changed status document instead of the exporter's. */
async function openAccountWith(change) {
  const status = JSON.parse(GOLDEN);
  status.version = "0.0.0";
  for (const account of status.accounts) account.drift = null;
  change(status);
  await serve(status);
  await page.goto("about:blank");
  await openAccount(status.accounts[0].account_id);
}

async function assertFits(where) {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= window, `${content} px of content in ${window} px, ${where}`);
}

/** Waits until the page shows a later document than before `change`. */
async function waitForRedraw(change = () => {}) {
  const documentTime = () => page.locator("#exporter time").getAttribute("datetime");
  const before = await documentTime();
  await change();
  await until("a later document", async () => assert.notEqual(await documentTime(), before));
}

const section = (alias) => page.locator("section", { has: page.locator("h2", { hasText: alias }) });
const rowOf = (account, name) => account.locator("tr", { has: page.locator("th", { hasText: name }) });
const cells = async (row) => (await row.locator("td").allTextContents()).map((text) => text.trim());

/** The numbers on the tiles, by level. */
async function tiles(account) {
  const texts = await account.locator(".tile").evaluateAll((tiles) =>
    tiles.map((tile) => [tile.querySelector(".name").textContent, tile.querySelector("strong").textContent]));
  return Object.fromEntries(texts.map(([level, count]) => [level, Number(count.replaceAll(",", ""))]));
}

async function screenshot(name) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
}

async function assertAccessible(where) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(found, [], where);
}

test("users, events, behaviors and integrations match the simulator and update automatically", async () => {
  await openAccount(ACME);
  const acme = section("acme");
  await simulation.addEvent("imp_travel");
  await simulation.addEvent("high_dlp");
  await until("the page shows the new events", async () => {
    const { accounts: [status] } = await simulation.status();
    const truth = (await simulation.truth(`since_ms=${Date.parse(status.events.counting_since)}`)).accounts[ACME];
    assert.ok(truth.events_by_behavior.imp_travel.high >= 1);
    assert.deepEqual(await tiles(acme), truth.by_level);
    for (const [name, behavior] of [["Impossible Travel", "imp_travel"], [MARKUP, "high_dlp"], ["SentinelOne", "sentinel_one"]]) {
      const happened = Object.values(truth.events_by_behavior[behavior] ?? {}).reduce((sum, count) => sum + count, 0);
      const [, , total, recent] = await cells(rowOf(acme, name));
      assert.deepEqual([total, recent], [String(happened), String(happened)], name);
    }
  });
  assert.deepEqual((await cells(rowOf(acme, "SentinelOne"))).slice(0, 2), ["disabled", "high"]);
  assert.deepEqual(await cells(rowOf(acme, "hr")), ["https://hr.okta.com", "active"]);
  assert.deepEqual(await cells(rowOf(acme, "sales")), ["https://sales.okta.com", "inactive"]);
  assert.match(await acme.locator("dl").textContent(), /have not been read yetnoneRequests left in 5 minutes[\d,]+ of 1,200/);
  const label = await acme.locator(".tile.high .chart svg").getAttribute("aria-label");
  assert.match(label, /^Users at high risk since \d\d:\d\d: .*\d/);
});

test("markup in names from Cloudflare is shown as text", async () => {
  await openPage();
  assert.equal(await page.locator("tbody th", { hasText: "acme <b>" }).count(), 1);
  assert.equal(await page.title(), "Zero Trust user risk");
  await openAccount(ACME);
  assert.equal(await page.locator("main img").count(), 0);
  assert.equal(await page.locator("main b").count(), 0);
  assert.equal(await page.title(), "acme <b> - Zero Trust user risk");
  assert.equal(await rowOf(section("acme"), MARKUP).locator("th").count(), 1);
});

test("an account with errors shows the error, since when, and what to do", async () => {
  await openPage();
  assert.match(await page.locator(".trouble").innerText(), /^failing: permission missing in 1 account, first \d+ \w+ ago: branch$/);
  assert.deepEqual((await cells(rowOf(page.locator(".listing"), "branch"))).slice(0, 4), ["failing: permission missing", "–", "–", "–"]);
  await openAccount(BRANCH);
  const branch = section("branch");
  assert.deepEqual(await branch.locator(".pill").allTextContents(), ["failing: permission missing", "risk not known"]);
  const notice = await branch.locator(".notice").textContent();
  assert.match(notice, /^List of users: the credentials lack a permission; add "Zero Trust: PII Read" to the token/);
  assert.match(notice, /The token stays the same.*First \d+ \w+ ago, last \d+ \w+ ago, [1-4] times?\./);
  assert.match(await branch.textContent(), /The list of users has not been read yet/);
  await openAccount(ACME);
  await section("acme").waitFor();
  assert.equal(await section("acme").locator(".notice").count(), 0);
});

test("the same error of several resources is shown once, although each answer has its own CF-Ray id", async () => {
  const failure = (resource, error, ray) => ({
    resource, cause: "refused", first: "2026-11-21T00:00:00Z", last: "2026-11-21T00:05:00Z", times: 2, over: null,
    error: `${error} (HTTP 401, 10000 no, CF-Ray ${ray})`, what_to_do: "Create a new token.",
  });
  await openAccountWith((status) => {
    status.accounts[0].errors = [
      failure("summary", "refused", "8c475f0e066a9ce0-AMS"),
      failure("behaviors", "refused", "2a7ed8c985b518f5"),
      failure("integrations", "broken", "8c475f0e066a9ce0-AMS"),
    ];
  });
  const notices = await page.locator("section .notice strong").allTextContents();
  assert.deepEqual(notices, ["Behaviors, List of users: ", "Integrations: "]);
});

test("the content security policy blocks an inline style", async () => {
  await openPage();
  await page.evaluate(() => document.body.setAttribute("style", "color: red"));
  await until("the browser and its console report a violation", async () => assert.equal(browserErrors.length, 2));
  assert.ok(browserErrors.every((text) => text.includes("style-src")), browserErrors.join("\n"));
  browserErrors = [];
});

test("at every width and in both color schemes there is no horizontal scrolling and no accessibility violation", async () => {
  for (const width of SIZES) {
    for (const colorScheme of SCHEMES) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      for (const [name, address] of [["overview", ""], ["account", `#/account/${ACME}`]]) {
        await page.goto("about:blank");
        await openPage(simulation.url + address);
        await assertFits(`${name}, ${colorScheme}`);
        await assertAccessible(`${name}, ${width} px, ${colorScheme}`);
        await screenshot(`${name}-${width}-${colorScheme}`);
      }
    }
  }
});

test("the keyboard reaches the skip link and each link, and the focus is visible", async () => {
  // Nobody is in trouble, so the list has the only links to the accounts.
  const status = JSON.parse(GOLDEN);
  status.accounts[0].health = { state: "up_to_date", cause: null, since: null };
  status.dashboard = null;
  let seconds = 10;
  await page.route(STATUS, (route) => {
    seconds += 1;
    return route.fulfill({ json: { ...status, now: `2026-11-21T00:05:${seconds}Z` } });
  });
  await openPage();
  const focused = () => page.evaluate(() => {
    const { tagName, textContent, id } = document.activeElement;
    const { outlineStyle } = getComputedStyle(document.activeElement);
    const { left, top } = document.activeElement.getBoundingClientRect();
    return { tagName, id, text: textContent.trim(), isVisible: outlineStyle !== "none" && left >= 0 && top >= 0 };
  });
  const texts = [];
  for (let step = 0; step < 6; step += 1) {
    await page.keyboard.press("Tab");
    const { text, isVisible } = await focused();
    assert.ok(isVisible, text);
    texts.push(text);
  }
  assert.deepEqual(texts, ["Skip to the accounts", "Metrics", "This page as JSON", "Readiness", status.accounts[0].account, "branch"]);
  // The focus stays after a redraw.
  await waitForRedraw();
  assert.equal((await focused()).text, "branch");
  // It stays with the account, even if that gets another place.
  status.accounts[1].health.state = "failing";
  await page.locator("tbody tr").first().filter({ hasText: "branch" }).waitFor();
  assert.equal((await focused()).text, "branch");
  await page.keyboard.press("Enter");
  await page.locator("h2", { hasText: "branch" }).waitFor();
  assert.match(page.url(), /#\/account\/f{32}$/);
  assert.equal((await focused()).id, "accounts");
  await page.reload();
  await page.locator("h2", { hasText: "branch" }).waitFor();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal((await focused()).id, "accounts");
  assert.match(page.url(), /#\/account\/f{32}$/);
});

test("without JavaScript the page says so and links to the metrics", async () => {
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const tab = await plain.newPage();
  await tab.goto(simulation.url);
  assert.match(await tab.locator("body").innerText(), /This page needs JavaScript, which is off/);
  await tab.locator("noscript a", { hasText: "metrics" }).click();
  assert.match(await tab.locator("body").innerText(), /cloudflare_zt_risk_users/);
  await plain.close();
});

test("past errors are collapsed, and stay expanded after a redraw", async () => {
  let requests = 0;
  await page.route(STATUS, (route) => {
    requests += 1;
    return route.fulfill({ json: { ...JSON.parse(GOLDEN), version: "0.0.0", now: `2026-11-21T00:06:0${requests}Z` } });
  });
  await openAccount(ACME);
  const past = page.locator("details");
  assert.equal(await past.locator("table").isVisible(), false);
  await past.locator("summary").click();
  assert.deepEqual(await cells(rowOf(past, "List of users")),
    [await past.locator("td time").textContent(), "50 s", "attempt 131", "Wait. If the error persists, check the network to Cloudflare."]);
  await waitForRedraw();
  assert.equal(await past.locator("table").isVisible(), true);
  await assertAccessible("unfolded");
  await screenshot("unfolded");
});

test("a new version of the exporter reloads the page", async () => {
  let [loads, version] = [0, "0.0.0"];
  page.on("load", () => { loads += 1; });
  await page.route(STATUS, (route) => route.fulfill({ json: { ...JSON.parse(GOLDEN), version } }));
  await openPage();
  version = "0.0.1";
  await page.locator("#exporter", { hasText: "zt-risk-exporter 0.0.1" }).waitFor();
  assert.equal(loads, 2);
});

test("a trend without data has a gap and a label that describes it", async () => {
  await openAccountWith((status) => {
    status.now = "2026-11-21T00:00:01.250Z";
    status.accounts[0].users.trend.until = "2026-11-21T00:00:01Z";
  });
  const chart = section("acme").locator(".tile.high .chart svg");
  assert.equal(await chart.locator(".gap").count(), 1);
  // At the end of twelve steps: two values, two steps without data, and one value. The scale is from 0 to 6.
  assert.equal(await chart.locator(".line").getAttribute("d"), "M7.5 66.7L8.5 50.0M11.5 0.0h0");
  assert.deepEqual(await section("acme").locator(".tile.high .scale span").allTextContents(), ["6", "0"]);
  assert.deepEqual(await section("acme").locator(".tile.high .axis span").allTextContents(), ["23:48", "00:00 UTC"]);
  assert.match(await page.locator(".legend").first().textContent(), /The users could not be read in this time/);
  const label = await chart.getAttribute("aria-label");
  assert.equal(label, "Users at high risk since 23:55: from 2 to 6, last 6; no data from 23:57 to 23:59");
});

test("trends end with the data, and show a gap after two missed reads", async () => {
  for (const [interval, gaps, words] of [
    [900, 1, "no data from 23:58 to 00:00"],
    [30, 2, "no data from 23:58 to 00:00, since 00:01"],
  ]) {
    await openAccountWith((status) => {
      status.now = "2026-11-21T00:31:30Z";
      status.accounts[0].resources.summary.interval_seconds = interval;
      status.accounts[0].users.trend.until = "2026-11-21T00:01:00Z";
    });
    const chart = section("acme").locator(".tile.high .chart svg");
    const label = await chart.getAttribute("aria-label");
    assert.ok(label.endsWith(`; ${words}`), label);
    assert.equal(await chart.locator(".gap").count(), gaps);
    assert.equal(await chart.getAttribute("viewBox"), "0 0 35 100");
  }
});

test("at every width and in both color schemes, 40 accounts take no more than two screens", async () => {
  for (const hasTrouble of [false, true]) {
    for (const count of [1, 12, 40]) {
      await serve(documentOf(count, hasTrouble));
      for (const width of SIZES) {
        for (const colorScheme of SCHEMES) {
          const name = `${count}-accounts-${hasTrouble ? "trouble" : "quiet"}-${width}-${colorScheme}`;
          await page.setViewportSize({ width, height: 900 });
          await page.emulateMedia({ colorScheme });
          await openPage();
          await assertFits(name);
          await assertAccessible(name);
          await screenshot(name);
          const height = await page.evaluate(() => document.documentElement.scrollHeight);
          assert.ok(count === 1 || height <= 1800, `${name} is ${height} px high`);
        }
      }
    }
  }
});

test("the overview has the failing accounts first, then those with the most users at high risk", async () => {
  await serve(documentOf(12, true));
  await openPage();
  const rows = await page.locator(".listing tbody tr").evaluateAll((rows) =>
    rows.map((row) => [row.querySelector("th").textContent, ...[...row.querySelectorAll("td")].slice(0, 2).map((cell) => cell.textContent)]));
  assert.deepEqual(rows.slice(0, 6), [
    ["branch office-6", "failing: rate limit reached", "0"],
    ["customer-11", "failing: token refused", "0"],
    ["acme-1", "failing: Cloudflare unreachable", "0"],
    ["customer-3", "up to date", "4"],
    ["subsidiary in another country-8", "up to date", "4"],
    ["acme-5", "up to date", "3"],
  ]);
  assert.deepEqual(await tiles(page), { high: 22, medium: 162, low: 1506 });
  assert.match(await page.locator(".overview dl").innerText(), /12 accounts\s+3 failing, 9 up to date\s+Events in 6 h\s+198/);
});

test("a cause that many accounts share is one line", async () => {
  const status = documentOf(40, false);
  for (const account of status.accounts) account.health = { state: "failing", cause: "network", since: account.events.counting_since };
  await serve(status);
  await openPage();
  assert.deepEqual(await page.locator(".trouble li").allTextContents(), [
    `failing: Cloudflare unreachable in 40 accounts, first ${await page.locator(".trouble time").textContent()}: branch office-18, customer-23, subsidiary in another country-28 and 37 more`,
  ]);
});

test("token files that cannot be used, and tokens that find nothing, are named, whatever the number of accounts", async () => {
  for (const count of [0, 1, 12]) {
    const status = documentOf(count, false);
    const problems = [
      { file: "acme", result: "bad_name", reason: "its name must be an account id" },
      { file: "0".repeat(32), result: "unusable", reason: "the content of the file is empty" },
    ];
    status.token_files = { used: count, problems, problems_omitted: 3 };
    await serve(status);
    await openPage();
    assert.deepEqual(await page.locator("[aria-label='Sources of accounts'] li").allTextContents(), [
      "Token file: bad name acme: its name must be an account id",
      `Token file: unusable ${"0".repeat(32)}: the content of the file is empty`,
      "and 3 more files",
    ]);
    await assertAccessible(`${count} accounts`);
    await page.goto("about:blank");
  }
  const status = documentOf(0, false);
  status.token_files = { used: 0, problems: [], problems_omitted: 0 };
  status.discovery = [
    { token_file: "token", watched: 0, not_entitled: [], not_entitled_omitted: 0, last_success: null, problem: "the list is empty" },
    { token_file: "other", watched: 3, not_entitled: ["Acme", "Branch"], not_entitled_omitted: 1, last_success: null, problem: null },
  ];
  await serve(status);
  await openPage();
  assert.deepEqual(await page.locator("[aria-label='Sources of accounts'] li").allTextContents(),
    [
      "No token files in accounts_from.tokens_dir",
      "Accounts cannot be found with token: the list is empty",
      "Without user risk scoring, found with other and tried once a day: Acme, Branch and 1 more",
    ]);
});

test("of 400 accounts the first 40 are listed, and the others on demand", async () => {
  await serve(documentOf(400, true));
  await openPage();
  const listed = page.locator(".listing tbody tr:visible");
  assert.equal(await listed.count(), 40);
  await page.locator("summary", { hasText: "360 more accounts" }).click();
  assert.equal(await listed.count(), 400);
});

test("an account page is asked for on demand, and only what it shows", async () => {
  const asked = [];
  page.on("request", (request) => { if (STATUS.test(request.url())) asked.push(new URL(request.url()).search); });
  await openPage();
  await page.locator(".listing a", { hasText: "acme" }).click();
  await section("acme").locator(".tile").first().waitFor();
  await page.locator(".back a").click();
  await page.locator(".listing").waitFor();
  await page.goBack();
  await section("acme").waitFor();
  assert.deepEqual([...new Set(asked)], ["?view=overview", `?account=${ACME}`]);
  await openPage(`${simulation.url}#/account/${idOf(7)}`);
  await page.locator("h2", { hasText: "No such account" }).waitFor();
});

test("with one account its page is the first one", async () => {
  const status = documentOf(1, false);
  await serve(status);
  await openPage();
  assert.equal(await page.locator("h2").textContent(), "acme-1");
  assert.equal(await page.locator(".back").count(), 0);
  // Another account is added: there is an overview now, and an address for the account.
  status.accounts.push(...documentOf(2, false).accounts.slice(1));
  await page.locator(".listing").waitFor();
});

test("a document that has not changed is not sent again", async () => {
  await page.clock.install();
  const tags = [];
  const status = documentOf(2, false);
  await page.route(STATUS, (route) => {
    const known = route.request().headers()["if-none-match"];
    tags.push(known);
    return known === undefined
      ? route.fulfill({ json: status, headers: { ETag: 'W/"1"' } })
      : route.fulfill({ status: 304, headers: { ETag: 'W/"1"' } });
  });
  await openPage();
  // It is the page's clock too, so it is asked for again after a minute.
  while (tags.length < 13) await waitForRedraw(() => page.clock.runFor(5_000));
  assert.deepEqual(tags, [undefined, ...Array(11).fill('W/"1"'), undefined]);
  assert.match(await page.locator("#exporter").textContent(), /Updated 0 s ago/);
});

test("health and risk have a pill each, and green is for both together", async () => {
  const none = { unknown: 0, low: 5, medium: 0, high: 0 };
  const upToDate = { state: "up_to_date", cause: null, since: null };
  const since = "2026-11-20T23:00:00Z";
  for (const [health, levels, wanted] of [
    [upToDate, none, ["plain: up to date", "good: nobody above low risk"]],
    [upToDate, { ...none, medium: 2 }, ["plain: up to date", "warn: 2 at medium risk"]],
    [upToDate, { ...none, unknown: 1 }, ["plain: up to date", "warn: 1 of unknown level"]],
    [upToDate, { ...none, high: 3, medium: 2 }, ["plain: up to date", "bad: 3 at high risk"]],
    [{ state: "degraded", cause: "permission", since }, none, ["warn: partly failing: permission missing", "plain: nobody above low risk"]],
    [{ state: "failing", cause: "rate_limit", since }, none, ["bad: failing: rate limit reached", "plain: nobody above low risk, last known"]],
    [{ state: "failing", cause: "network", since }, none, ["bad: failing: Cloudflare unreachable", "plain: nobody above low risk, last known"]],
    [{ state: "failing", cause: "token", since }, { ...none, high: 1 }, ["bad: failing: token refused", "bad: 1 at high risk, last known"]],
    [{ state: "failing", cause: null, since: null }, none, ["bad: failing: overdue", "plain: nobody above low risk, last known"]],
    [{ state: "waiting", cause: null, since: null }, null, ["plain: not read yet", "plain: risk not known"]],
  ]) {
    await openAccountWith(({ accounts: [account] }) => {
      account.health = health;
      if (levels === null) account.users = null;
      else account.users.by_level = levels;
    });
    const found = await page.locator(".pill").evaluateAll((pills) =>
      pills.map((pill) => `${[...pill.classList].find((name) => name !== "pill")}: ${pill.textContent}`));
    assert.deepEqual(found, wanted);
  }
});

test("a scale begins at 0 and ends at a round number that is not below the most", async () => {
  await openPage();
  const tops = await page.evaluate(async (numbers) => {
    const { topOfScale } = await import("./charts.js");
    return numbers.map(topOfScale);
  }, [0, 1, 6, 7, 9, 11, 13, 120, 121, 251, 999, 1_000, 123_456]);
  assert.deepEqual(tops, [1, 1, 6, 8, 10, 12, 15, 120, 150, 300, 1_000, 1_000, 150_000]);
});

test("the pointer shows what a chart has at a time", async () => {
  await openAccountWith(() => {});
  const tooltip = page.locator("#tooltip");
  const chart = section("acme").locator(".tile.high .chart svg");
  // The trend of five steps is at the right end of twelve.
  for (const [step, words] of [
    [0, "nothing was recorded yet"],
    [7, "00:01 to 00:02 UTC: 2 users"],
    [9, "00:03 to 00:04 UTC: not read"],
    [11, "00:05 to 00:06 UTC: 6 users"],
  ]) {
    const { x, y, width, height } = await chart.boundingBox();
    await page.mouse.move(x + width * (step + 0.5) / 12, y + height / 2);
    assert.equal(await tooltip.textContent(), words);
    assert.equal(await tooltip.isVisible(), true);
  }
  await page.locator("td.trend svg").first().hover();
  assert.match(await tooltip.textContent(), /UTC: (\d+ events?|not read)$|nothing was recorded yet/);
  await page.mouse.move(1, 1);
  assert.equal(await tooltip.isVisible(), false);
});

test("users at high risk are named as in the metrics, with commands to copy", async () => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await openAccount(ACME);
  const acme = section("acme");
  const copied = async (button) => {
    await button.click();
    await page.locator("#copied", { hasText: "Copied: zt-risk-exporter" }).waitFor();
    return page.evaluate(() => navigator.clipboard.readText());
  };
  const listed = await page.locator("table", { hasText: "Users at high risk" }).locator("tbody tr").count();
  assert.equal(listed, (await tiles(acme)).high);
  const row = rowOf(acme, USER);
  if (await row.count() === 1) assert.match((await cells(row))[0], /^\d+ \w+ ago$/);
  const first = page.locator("table", { hasText: "Users at high risk" }).locator("tbody tr").first();
  const user = await first.locator("th").textContent();
  assert.equal(await copied(first.locator("button").nth(0)), `zt-risk-exporter user --account 'acme <b>' ${user}`);
  assert.equal(await copied(first.locator("button").nth(1)), `zt-risk-exporter reset --account 'acme <b>' ${user}`);
  assert.equal(await copied(acme.locator(".command button")), "zt-risk-exporter users --account 'acme <b>' --level high");
});

test("what differs from the baseline is shown with the command that compares it", async () => {
  const notice = () => page.locator(".notice", { hasText: "baseline" });
  const { drift } = JSON.parse(GOLDEN).accounts[0];
  await openAccountWith(({ accounts: [account] }) => {
    account.drift = drift;
  });
  assert.match(await notice().innerText(), /^2 behaviors differ from the baseline\n/);
  assert.deepEqual(await notice().locator("li").allTextContents(), [
    "High Number of DLP Policies Triggered: is disabled, should be enabled",
    "malicious_file: does not exist",
  ]);
  assert.match(await notice().innerText(), /1 behavior is not in the baseline: sentinel_one\./);
  assert.match(await notice().locator(".command code").textContent(), /^zt-risk-exporter behaviors diff --account /);
  await openAccountWith(({ accounts: [account] }) => {
    account.drift = { ...drift, drifted: [] };
  });
  assert.equal(await notice().count(), 0);
  assert.equal(await page.locator("p", { hasText: "No difference from the baseline, which has 3 behaviors." }).count(), 1);
  await openAccountWith(() => {});
  assert.equal(await page.locator("main", { hasText: "from the baseline" }).count(), 0);
});

test("without the clipboard interface commands can be copied too, and each is quoted for the shell", async () => {
  await page.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  for (const [alias, named] of [
    ["acme-1", "acme-1"],
    ["O'Hara $HOME", String.raw`'O'\''Hara $HOME'`],
    ["--help", ACME],
  ]) {
    await openAccountWith(({ accounts: [account] }) => { account.account = alias; });
    await page.locator(".command button").click();
    const words = `Copied: zt-risk-exporter users --account ${named} --level high`;
    assert.equal(await page.locator("#copied", { hasText: "Copied" }).textContent(), words);
  }
  // Names and addresses are shown if the identity policy allows them.
  assert.match(await page.locator("tbody th", { hasText: "Ada" }).textContent(), /ada@example.com 00000000-0000-0000-0000-000000000001$/);
  assert.match(await section("--help").textContent(), /5 more users are not listed here/);
});

test("links lead to Cloudflare, and to Grafana where it is configured", async () => {
  const addresses = () => page.locator("main a").evaluateAll((links) =>
    links.map((link) => [link.textContent, link.href]).filter(([, address]) => !address.includes("#")));
  const cloudflare = `https://dash.cloudflare.com/${ACME}/one/team-resources/users/risk-score`;
  await openAccount(ACME);
  assert.deepEqual(await addresses(), [["Users at risk at Cloudflare", cloudflare]]);
  await openAccountWith(() => {});
  const account = "var-account=acme%20%22EU%22%20%5C%20north";
  assert.deepEqual(await addresses(), [
    ["Users at risk at Cloudflare", cloudflare],
    ["Overview in Grafana", `https://grafana.example/d/zt-risk-overview?${account}`],
    ["Users in Grafana", `https://grafana.example/d/zt-risk-users?${account}`],
  ]);
  await page.locator(".back a").click();
  await page.locator(".listing").waitFor();
  assert.deepEqual(await addresses(), [["Overview in Grafana", "https://grafana.example/d/zt-risk-overview"]]);
});

test("users without a name by the identity policy are only counted", async () => {
  await openAccountWith(({ accounts: [{ users }] }) => { [users.high_risk, users.high_risk_omitted] = [[], 6]; });
  assert.match(await section("acme").textContent(), /6 users are not named here, because users.identity and users.limit allow no names/);
  assert.equal(await page.locator(".command code").count(), 1);
});

test("a hidden tab sends no requests, and sends one at once when it becomes visible", async () => {
  await page.clock.install();
  let requests = 0;
  page.on("request", (request) => { requests += STATUS.test(request.url()) ? 1 : 0; });
  await openPage();
  const setVisibility = (state) => page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
  await setVisibility("hidden");
  const before = requests;
  await page.clock.runFor(600_000);
  assert.equal(requests, before);
  const response = page.waitForResponse(STATUS);
  await setVisibility("visible");
  await response;
  assert.equal(requests, before + 1);
  // A tab that becomes hidden during a request still uses the answer.
  let release;
  const released = new Promise((resolve) => { release = resolve; });
  await page.route(STATUS, async (route) => {
    await released;
    await route.continue();
  }, { times: 1 });
  await waitForRedraw(async () => {
    await page.clock.runFor(5_000);
    await until("the next request", async () => assert.equal(requests, before + 2));
    await setVisibility("hidden");
    release();
  });
  await page.clock.runFor(600_000);
  assert.equal(requests, before + 2);
});

test("without Cloudflare the page reports it and keeps its data", async () => {
  await openAccount(ACME);
  const acme = section("acme");
  const had = await tiles(acme);
  await simulation.simulator.kill();
  await until("the page shows the error", async () => {
    const [data, risk] = await acme.locator(".pill").allTextContents();
    assert.equal(data, "failing: Cloudflare unreachable");
    assert.match(risk, / at high risk, last known$/);
    assert.match(await acme.locator(".notice").first().textContent(), /^Behaviors, Integrations, List of users: no connection to .*First \d+ s ago/);
  });
  assert.deepEqual(await tiles(acme), had);
  assert.equal(await page.locator(".pill.good").count(), 0);
  assert.equal(await page.locator("body.stale").count(), 0);
  await assertAccessible("without Cloudflare");
  await screenshot("without-cloudflare");
});

test("without the exporter the page reports since when, backs off, and recovers automatically", async () => {
  await page.clock.install();
  await openAccount(ACME);
  const had = await page.locator("main").textContent();
  await simulation.exporter.kill();
  const failures = [];
  page.on("requestfailed", (request) => failures.push(request.url()));
  const connection = page.locator("#connection");
  for (const seconds of [5, 10, 20, 40, 60, 60]) {
    const [count, failed] = [failures.length, page.waitForEvent("requestfailed")];
    await page.clock.runFor((seconds - 1) * 1000);
    assert.equal(failures.length, count, `before ${seconds} s`);
    await page.clock.runFor(1000);
    await failed;
    await connection.filter({ hasText: "has not answered" }).waitFor();
  }
  assert.match(await connection.textContent(), /^The exporter has not answered since \d\d:\d\d\. The data shown is from before that\.$/);
  assert.equal(await page.locator("body.stale").count(), 1);
  const withoutAges = (text) => text.replaceAll(/\d+ (s|min|h|days) ago/g, "");
  assert.equal(withoutAges(await page.locator("main").textContent()), withoutAges(had));
  await assertAccessible("without the exporter");
  await screenshot("without-exporter");
  await simulation.startExporter();
  await page.clock.runFor(60_000);
  await page.locator("body:not(.stale)").waitFor();
  assert.equal(await connection.textContent(), "");
  // The browser itself reports the refused connections. There must be no other message.
  browserErrors = browserErrors.filter((text) => !text.includes("ERR_CONNECTION_REFUSED"));
});
