// Compares the live page in a browser with the true values of the simulator.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";

import axe from "axe-core";
import { chromium } from "playwright-core";

import { ACME, MARKUP, Simulation, until } from "./simulation.mjs";

const GOLDEN = readFileSync(new URL("../golden/status.json", import.meta.url), "utf8");
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

/** Opens the page with a changed status document instead of the exporter's. */
async function openPageWith(change) {
  const status = JSON.parse(GOLDEN);
  status.version = "0.0.0";
  change(status);
  await page.route("**/api/v1/status", (route) => route.fulfill({ json: status }));
  await openPage();
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
  await openPage();
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
  const label = await acme.locator(".tile.high svg").getAttribute("aria-label");
  assert.match(label, /^Users at high risk since \d\d:\d\d: .*\d/);
});

test("markup in names from Cloudflare is shown as text", async () => {
  await openPage();
  assert.equal(await page.locator("main img").count(), 0);
  assert.equal(await page.locator("h2 b").count(), 0);
  assert.equal(await page.title(), "Zero Trust user risk");
  assert.equal(await rowOf(section("acme"), MARKUP).locator("th").count(), 1);
});

test("an account with errors shows the error, since when, and what to do", async () => {
  await openPage();
  const branch = section("branch");
  assert.match(await branch.locator("h2").textContent(), /users could not be read/);
  const notice = await branch.locator(".notice").textContent();
  assert.match(notice, /^List of users: the credentials lack a permission; add "Zero Trust: PII Read" to the token/);
  assert.match(notice, /The token stays the same.*First \d+ \w+ ago, last \d+ \w+ ago, [1-4] times?\./);
  assert.match(await branch.textContent(), /The list of users has not been read yet/);
  assert.equal(await section("acme").locator(".notice").count(), 0);
});

test("the same error of several resources is shown once, although each answer has its own CF-Ray id", async () => {
  const failure = (resource, error, ray) => ({
    resource, cause: "refused", first: "2026-11-21T00:00:00Z", last: "2026-11-21T00:05:00Z", times: 2, over: null,
    error: `${error} (HTTP 401, 10000 no, CF-Ray ${ray})`, what_to_do: "Create a new token.",
  });
  await openPageWith((status) => {
    status.accounts.length = 1;
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
      await openPage();
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= window, `${content} px of content in ${window} px, ${colorScheme}`);
      await assertAccessible(`${width} px, ${colorScheme}`);
      await screenshot(`${width}-${colorScheme}`);
    }
  }
});

test("the keyboard reaches the skip link and each link, and the focus is visible", async () => {
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
  assert.deepEqual(texts, ["Skip to the accounts", "Metrics", "This page as JSON", "Readiness", "acme <b>", "branch"]);
  // The focus stays after a redraw.
  await waitForRedraw();
  assert.equal((await focused()).text, "branch");
  await page.keyboard.press("Enter");
  assert.match(page.url(), /#account-1$/);
  await page.reload();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal((await focused()).id, "accounts");
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
  await openPageWith(() => {});
  await page.unroute("**/api/v1/status");
  await page.route("**/api/v1/status", (route) => {
    requests += 1;
    return route.fulfill({ json: { ...JSON.parse(GOLDEN), version: "0.0.0", now: `2026-11-21T00:06:0${requests}Z` } });
  });
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
  await page.route("**/api/v1/status", (route) => route.fulfill({ json: { ...JSON.parse(GOLDEN), version } }));
  await openPage();
  version = "0.0.1";
  await page.locator("#exporter", { hasText: "zt-risk-exporter 0.0.1" }).waitFor();
  assert.equal(loads, 2);
});

test("a trend without data has a gap and a label that describes it", async () => {
  await openPageWith((status) => {
    status.now = "2026-11-21T00:00:01.250Z";
    status.accounts[0].users.trend.until = "2026-11-21T00:00:01Z";
  });
  const chart = section("acme").locator(".tile.high svg");
  assert.equal(await chart.locator(".gap").count(), 1);
  // At the end of twelve steps: two values, two steps without data, and one value.
  assert.equal(await chart.locator(".line").getAttribute("d"), "M7.5 92.0L8.5 71.0M11.5 8.0h0");
  const label = await chart.getAttribute("aria-label");
  assert.equal(label, "Users at high risk since 23:55: from 2 to 6, last 6; no data from 23:57 to 23:59");
});

test("trends end with the data, and show a gap after two missed reads", async () => {
  for (const [interval, gaps, words] of [
    [900, 1, "no data from 23:58 to 00:00"],
    [30, 2, "no data from 23:58 to 00:00, since 00:01"],
  ]) {
    await page.unroute("**/api/v1/status");
    await openPageWith((status) => {
      status.now = "2026-11-21T00:31:30Z";
      status.accounts[0].resources.summary.interval_seconds = interval;
      status.accounts[0].users.trend.until = "2026-11-21T00:01:00Z";
    });
    const chart = section("acme").locator(".tile.high svg");
    const label = await chart.getAttribute("aria-label");
    assert.ok(label.endsWith(`; ${words}`), label);
    assert.equal(await chart.locator(".gap").count(), gaps);
    assert.equal(await chart.getAttribute("viewBox"), "0 0 35 100");
  }
});

test("a hidden tab sends no requests, and sends one at once when it becomes visible", async () => {
  await page.clock.install();
  let requests = 0;
  page.on("request", (request) => { requests += request.url().endsWith("/api/v1/status") ? 1 : 0; });
  await openPage();
  const setVisibility = (state) => page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
  await setVisibility("hidden");
  const before = requests;
  await page.clock.runFor(600_000);
  assert.equal(requests, before);
  const response = page.waitForResponse("**/api/v1/status");
  await setVisibility("visible");
  await response;
  assert.equal(requests, before + 1);
  // A tab that becomes hidden during a request still uses the answer.
  let release;
  const released = new Promise((resolve) => { release = resolve; });
  await page.route("**/api/v1/status", async (route) => {
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
  await openPage();
  const acme = section("acme");
  const had = await tiles(acme);
  await simulation.simulator.kill();
  await until("the page shows the error", async () => {
    assert.match(await acme.locator("h2").textContent(), /users could not be read/);
    assert.match(await acme.locator(".notice").first().textContent(), /^Behaviors, Integrations, List of users: no connection to .*First \d+ s ago/);
  });
  assert.deepEqual(await tiles(acme), had);
  assert.equal(await page.locator("body.stale").count(), 0);
  await assertAccessible("without Cloudflare");
  await screenshot("without-cloudflare");
});

test("without the exporter the page reports since when, backs off, and recovers automatically", async () => {
  await page.clock.install();
  await openPage();
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
