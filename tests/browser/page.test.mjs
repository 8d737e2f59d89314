// The live page as a person sees it, held against what the simulator says really happened.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, test } from "node:test";

import axe from "axe-core";
import { chromium } from "playwright-core";

import { ACME, MARKUP, World, until } from "./world.mjs";

const GOLDEN = readFileSync(new URL("../golden/status.json", import.meta.url), "utf8");
const SIZES = [360, 1600];
const SCHEMES = ["light", "dark"];

let browser, world, context, page, complaints;

before(async () => {
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args });
  world = await World.start();
  await until("the accounts are read", async () => {
    const [acme, branch] = (await world.status()).accounts;
    assert.ok(acme.events && acme.behaviors && acme.integrations && branch.errors.length > 0);
  });
});

after(async () => {
  await browser?.close();
  await world?.end();
});

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1600, height: 900 }, locale: "en-US", timezoneId: "UTC" });
  page = await opened(context);
});

afterEach(async () => {
  await context.close();
  assert.deepEqual(complaints, []);
});

/** A tab that writes down whatever it complains of. */
async function opened(context) {
  complaints = [];
  const tab = await context.newPage();
  tab.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  tab.on("pageerror", (error) => complaints.push(String(error)));
  await tab.exposeFunction("complain", (text) => complaints.push(text));
  await tab.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      window.complain(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return tab;
}

async function look(address = world.url) {
  await page.goto(address);
  await page.locator("h2").first().waitFor();
}

/** The page, drawn from a document in place of the exporter's. */
async function lookAt(change) {
  const status = JSON.parse(GOLDEN);
  status.version = "0.0.0";
  change(status);
  await page.route("**/api/v1/status", (route) => route.fulfill({ json: status }));
  await look();
}

/** Waits until the page shows a later document than before `change`. */
async function drawnAnew(change = () => {}) {
  const written = () => page.locator("#exporter time").getAttribute("datetime");
  const before = await written();
  await change();
  await until("a later document", async () => assert.notEqual(await written(), before));
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

async function picture(name) {
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), fullPage: true });
}

async function breaksNoRule(where) {
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(found, [], where);
}

test("users, events, behaviors and integrations are those of the truth, and stay so by themselves", async () => {
  await look();
  const acme = section("acme");
  await world.happens("imp_travel");
  await world.happens("high_dlp");
  await until("the page knows what happened", async () => {
    const { accounts: [status] } = await world.status();
    const truth = (await world.truth(`since_ms=${Date.parse(status.events.counting_since)}`)).accounts[ACME];
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

test("what Cloudflare says stays text", async () => {
  await look();
  assert.equal(await page.locator("main img").count(), 0);
  assert.equal(await page.locator("h2 b").count(), 0);
  assert.equal(await page.title(), "Zero Trust user risk");
  assert.equal(await rowOf(section("acme"), MARKUP).locator("th").count(), 1);
});

test("an account in trouble says which, since when and what to do", async () => {
  await look();
  const branch = section("branch");
  assert.match(await branch.locator("h2").textContent(), /users could not be read/);
  const notice = await branch.locator(".notice").textContent();
  assert.match(notice, /^List of users: the credentials lack a permission; add "Zero Trust: PII Read" to the token/);
  assert.match(notice, /The token stays the same.*First \d+ \w+ ago, last \d+ \w+ ago, 1 time\./);
  assert.match(await branch.textContent(), /The list of users has not been read yet/);
  assert.equal(await section("acme").locator(".notice").count(), 0);
});

test("what several endpoints answer alike is said once, though each answer has a CF-Ray id of its own", async () => {
  const trouble = (endpoint, error, ray) => ({
    endpoint, cause: "refused", first: "2026-11-21T00:00:00Z", last: "2026-11-21T00:05:00Z", times: 2, over: null,
    error: `${error} (HTTP 401, 10000 no, CF-Ray ${ray})`, what_to_do: "Create a new token.",
  });
  await lookAt((status) => {
    status.accounts.length = 1;
    status.accounts[0].errors = [
      trouble("summary", "refused", "8c475f0e066a9ce0-AMS"),
      trouble("behaviors", "refused", "2a7ed8c985b518f5"),
      trouble("integrations", "broken", "8c475f0e066a9ce0-AMS"),
    ];
  });
  const notices = await page.locator("section .notice strong").allTextContents();
  assert.deepEqual(notices, ["Behaviors, List of users: ", "Integrations: "]);
});

test("the policy is in force: a style that is written into the page is refused", async () => {
  await look();
  await page.evaluate(() => document.body.setAttribute("style", "color: red"));
  await until("the browser complains, and its console too", async () => assert.equal(complaints.length, 2));
  assert.ok(complaints.every((text) => text.includes("style-src")), complaints.join("\n"));
  complaints = [];
});

test("at every width and in both schemes nothing scrolls sideways and no rule of accessibility is broken", async () => {
  for (const width of SIZES) {
    for (const colorScheme of SCHEMES) {
      await page.setViewportSize({ width, height: 900 });
      await page.emulateMedia({ colorScheme });
      await look();
      const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
      assert.ok(content <= window, `${content} px of content in ${window} px, ${colorScheme}`);
      await breaksNoRule(`${width} px, ${colorScheme}`);
      await picture(`${width}-${colorScheme}`);
    }
  }
});

test("by keyboard one can skip to the accounts and go to each link, and sees where one is", async () => {
  await look();
  const focused = () => page.evaluate(() => {
    const { tagName, textContent, id } = document.activeElement;
    const { outlineStyle } = getComputedStyle(document.activeElement);
    const { left, top } = document.activeElement.getBoundingClientRect();
    return { tagName, id, words: textContent.trim(), isSeen: outlineStyle !== "none" && left >= 0 && top >= 0 };
  });
  const words = [];
  for (let step = 0; step < 6; step += 1) {
    await page.keyboard.press("Tab");
    const { words: here, isSeen } = await focused();
    assert.ok(isSeen, here);
    words.push(here);
  }
  assert.deepEqual(words, ["Skip to the accounts", "Metrics", "This page as JSON", "Readiness", "acme <b>", "branch"]);
  // What is focused stays so though everything around it is drawn anew.
  await drawnAnew();
  assert.equal((await focused()).words, "branch");
  await page.keyboard.press("Enter");
  assert.match(page.url(), /#account-1$/);
  await page.reload();
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  assert.equal((await focused()).id, "accounts");
});

test("without JavaScript the page says so and leads to the numbers", async () => {
  const plain = await browser.newContext({ javaScriptEnabled: false });
  const tab = await plain.newPage();
  await tab.goto(world.url);
  assert.match(await tab.locator("body").innerText(), /This page needs JavaScript, which is off/);
  await tab.locator("noscript a", { hasText: "metrics" }).click();
  assert.match(await tab.locator("body").innerText(), /cloudflare_zt_risk_users/);
  await plain.close();
});

test("errors that are over are folded away, and stay unfolded for who wants to read them", async () => {
  let requests = 0;
  await lookAt(() => {});
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
  await drawnAnew();
  assert.equal(await past.locator("table").isVisible(), true);
  await breaksNoRule("unfolded");
  await picture("unfolded");
});

test("a new version of the exporter brings its own page", async () => {
  let [loads, version] = [0, "0.0.0"];
  page.on("load", () => { loads += 1; });
  await page.route("**/api/v1/status", (route) => route.fulfill({ json: { ...JSON.parse(GOLDEN), version } }));
  await look();
  version = "0.0.1";
  await page.locator("#exporter", { hasText: "zt-risk-exporter 0.0.1" }).waitFor();
  assert.equal(loads, 2);
});

test("where nothing was read a trend has a gap, and says so in words", async () => {
  await lookAt((status) => {
    status.now = "2026-11-21T00:00:01.250Z";
    status.accounts[0].users.trend.until = "2026-11-21T00:00:01Z";
  });
  const chart = section("acme").locator(".tile.high svg");
  assert.equal(await chart.locator(".gap").count(), 1);
  // At the end of twelve steps: two, two that are not known, and one.
  assert.equal(await chart.locator(".line").getAttribute("d"), "M7.5 92.0L8.5 71.0M11.5 8.0h0");
  const label = await chart.getAttribute("aria-label");
  assert.equal(label, "Users at high risk since 23:55: from 2 to 6, last 6; no data from 23:57 to 23:59");
});

test("trends end where the data ends, and have a gap there once two readings are missed", async () => {
  for (const [interval, gaps, words] of [
    [900, 1, "no data from 23:58 to 00:00"],
    [30, 2, "no data from 23:58 to 00:00, since 00:01"],
  ]) {
    await page.unroute("**/api/v1/status");
    await lookAt((status) => {
      status.now = "2026-11-21T00:31:30Z";
      status.accounts[0].endpoints.summary.interval_seconds = interval;
      status.accounts[0].users.trend.until = "2026-11-21T00:01:00Z";
    });
    const chart = section("acme").locator(".tile.high svg");
    const label = await chart.getAttribute("aria-label");
    assert.ok(label.endsWith(`; ${words}`), label);
    assert.equal(await chart.locator(".gap").count(), gaps);
    assert.equal(await chart.getAttribute("viewBox"), "0 0 35 100");
  }
});

test("a hidden tab asks nothing, and asks at once when it is looked at again", async () => {
  await page.clock.install();
  let requests = 0;
  page.on("request", (request) => { requests += request.url().endsWith("/api/v1/status") ? 1 : 0; });
  await look();
  const turn = (state) => page.evaluate((state) => {
    Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, state);
  await turn("hidden");
  const before = requests;
  await page.clock.runFor(600_000);
  assert.equal(requests, before);
  const asked = page.waitForResponse("**/api/v1/status");
  await turn("visible");
  await asked;
  assert.equal(requests, before + 1);
  // Hidden while an answer is under way, it still takes that one.
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route("**/api/v1/status", async (route) => {
    await held;
    await route.continue();
  }, { times: 1 });
  await drawnAnew(async () => {
    await page.clock.runFor(5_000);
    await until("the next request", async () => assert.equal(requests, before + 2));
    await turn("hidden");
    release();
  });
  await page.clock.runFor(600_000);
  assert.equal(requests, before + 2);
});

test("when Cloudflare is gone the page says so and keeps what it has", async () => {
  await look();
  const acme = section("acme");
  const had = await tiles(acme);
  await world.simulator.kill();
  await until("the page knows", async () => {
    assert.match(await acme.locator("h2").textContent(), /users could not be read/);
    assert.match(await acme.locator(".notice").first().textContent(), /^Behaviors, Integrations, List of users: no connection to .*First \d+ s ago/);
  });
  assert.deepEqual(await tiles(acme), had);
  assert.equal(await page.locator("body.stale").count(), 0);
  await breaksNoRule("without Cloudflare");
  await picture("without-cloudflare");
});

test("when the exporter is gone the page says since when, asks ever less often, and recovers by itself", async () => {
  await page.clock.install();
  await look();
  const had = await page.locator("main").textContent();
  await world.exporter.kill();
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
  await breaksNoRule("without the exporter");
  await picture("without-exporter");
  await world.startExporter();
  await page.clock.runFor(60_000);
  await page.locator("body:not(.stale)").waitFor();
  assert.equal(await connection.textContent(), "");
  // The browser says by itself that nobody answered; nothing else may be said.
  complaints = complaints.filter((text) => !text.includes("ERR_CONNECTION_REFUSED"));
});
