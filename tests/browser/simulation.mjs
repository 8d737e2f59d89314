// Runs an exporter and the simulated API that it watches as separate processes.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const BINARY = process.env.ZT_RISK_EXPORTER;
const TIMEOUT_MS = 30_000;

export const ACME = "0123456789abcdef0123456789abcdef";
export const BRANCH = "fedcba9876543210fedcba9876543210";
export const USER = "182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e";
/** A behavior's name with markup, which the page must show as text. */
export const MARKUP = '<img src="x" onerror="document.title=1">';

const SCENARIO = `
accounts:
  - id: ${ACME}
    generated_users: 12
    users:
      - { id: ${USER}, events: [{ behavior: high_dlp, at: -90m }] }
    behaviors:
      - { id: imp_travel, name: Impossible Travel, enabled: true, risk_level: high }
      - { id: high_dlp, name: ${JSON.stringify(MARKUP)}, enabled: true, risk_level: medium }
      - { id: sentinel_one, name: SentinelOne Infection Detected, enabled: false, risk_level: high }
    integrations:
      - { id: 4cfe8442-664b-4915-acd4-b39cd65c4314, reference_id: hr, tenant_url: "https://hr.okta.com", active: true, created_at: -24h }
      - { id: 5dfe8442-664b-4915-acd4-b39cd65c4314, reference_id: sales, tenant_url: "https://sales.okta.com", active: false, created_at: -24h }
  - id: ${BRANCH}
    generated_users: 5
tokens:
  - { token: reader, permissions: [Zero Trust Read, "Zero Trust: PII Read"] }
  - { token: settings-only, permissions: [Zero Trust Read] }
`;

const CONFIG = (baseUrl) => `
accounts:
  - { id: ${ACME}, alias: "acme <b>", token: reader, budget_share: 1 }
  - { id: ${BRANCH}, alias: branch, token: settings-only, budget_share: 1 }
cloudflare: { base_url: "${baseUrl}" }
intervals: { summary: 1s, behaviors: 2s, integrations: 2s }
`;

/** A process that ends with the test at the latest. */
class ChildProcess {
  constructor(args) {
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/^(CLOUDFLARE_|ZT_RISK_EXPORTER__)/.test(name)));
    this.process = spawn(BINARY, args, { env: { ...env, NO_PROXY: "127.0.0.1" }, stdio: ["ignore", "pipe", "pipe"] });
    this.log = [];
    this.ended = once(this.process, "exit");
  }

  /** Waits for the first match in a line of either stream. */
  async waitForOutput(pattern) {
    const streams = [this.process.stdout, this.process.stderr].map((input) => createInterface({ input }));
    const found = new Promise((resolve, reject) => {
      for (const lines of streams) {
        lines.on("line", (line) => {
          this.log.push(line);
          const match = pattern.exec(line);
          if (match) resolve(match[0]);
        });
      }
      this.ended.then(() => reject(new Error(`the process ended:\n${this.log.join("\n")}`)));
    });
    return withTimeout(`a line like ${pattern}`, found);
  }

  async kill() {
    this.process.kill("SIGKILL");
    await this.ended;
  }
}

export class Simulation {
  static async start() {
    const simulation = new Simulation();
    simulation.folder = mkdtempSync(join(tmpdir(), "live-page-"));
    const scenario = join(simulation.folder, "scenario.yaml");
    writeFileSync(scenario, SCENARIO);
    simulation.simulator = new ChildProcess(["simulate", "--listen-address", "127.0.0.1:0", "--scenario", scenario]);
    simulation.baseUrl = await simulation.simulator.waitForOutput(/http:\S+/);
    simulation.config = join(simulation.folder, "config.yaml");
    writeFileSync(simulation.config, CONFIG(simulation.baseUrl));
    await simulation.startExporter("127.0.0.1:0");
    return simulation;
  }

  async startExporter(address = this.address) {
    this.exporter = new ChildProcess(["--config.file", this.config, "--web.listen-address", address, "--log.format", "json"]);
    [this.address] = /127\.0\.0\.1:\d+/.exec(await this.exporter.waitForOutput(/serving.*127\.0\.0\.1:\d+/));
    this.url = `http://${this.address}/`;
  }

  /** The true values of the simulator. */
  async truth(query = "") {
    const answer = await fetch(new URL(`/__truth?${query}`, this.baseUrl));
    return answer.json();
  }

  async addEvent(behavior, user = USER) {
    const body = JSON.stringify({ account: ACME, user, behavior });
    const answer = await fetch(new URL("/__control/events", this.baseUrl), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
    });
    if (!answer.ok) throw new Error(await answer.text());
  }

  async status() {
    return (await fetch(`${this.url}api/v1/status`)).json();
  }

  async end() {
    await Promise.all([this.exporter.kill(), this.simulator.kill()]);
    rmSync(this.folder, { recursive: true });
  }
}

/** Fails with the name of the expected result if the promise does not settle in time. */
export async function withTimeout(what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Repeats `check` until it no longer throws. */
export async function until(what, check) {
  const deadline = Date.now() + TIMEOUT_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw new Error(`${what}: not within ${TIMEOUT_MS / 1000} s`, { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
