// Tests the simulator with the official TypeScript SDK: every operation and every field of its typed answers.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import Cloudflare from 'cloudflare';

const baseURL = process.env.SIMULATOR_BASE_URL ?? assert.fail('SIMULATOR_BASE_URL is not set');
const account_id = 'a'.repeat(32);
const ada = '182bd5e5-6e1a-4fe4-a799-aa6d9a6ab26e';
const unknownId = '00000000-0000-4000-8000-000000000000';
const integration = '4cfe8442-664b-4915-acd4-b39cd65c4314';
const reference = '3701e70b-5de4-4d9d-8972-f5aa994d9057';

// No retries, because they would hide the first answer.
const scoring = (apiToken: string) =>
  new Cloudflare({ baseURL, apiToken, apiKey: null, apiEmail: null, maxRetries: 0 }).zeroTrust.riskScoring;
const risk = scoring('everything');

const wellKnown = (id: string) =>
  `https://ssf.risk-score.teams.cloudflare.com/.well-known/sse-configuration/${id}`;

const recent = (date: string) => assert.ok(Math.abs(Date.parse(date) - Date.now()) < 60_000, date);

test('the summary lists users at risk', async () => {
  const summary = await risk.summary.get({ account_id });
  assert.deepEqual(summary?.users[0], {
    user_id: ada,
    name: 'Ada "Countess" Lovelace',
    email: 'ada@example.com',
    max_risk_level: 'high',
    event_count: 2,
    last_event: '2026-03-05T00:00:00Z',
  });
});

test('a user has events, the newest first', async () => {
  const user = await risk.get(ada, { account_id });
  assert.ok(user);
  const { events, ...person } = user;
  assert.deepEqual(person, {
    name: 'Ada "Countess" Lovelace',
    email: 'ada@example.com',
    risk_level: 'high',
    last_reset_time: '2026-01-02T00:00:00Z',
  });
  const seen = events.map(({ id, name, risk_level, timestamp, event_details, ...more }) => {
    assert.deepEqual(more, {});
    return [id, name, risk_level, Date.parse(timestamp)];
  });
  assert.deepEqual(seen, [
    ['event-2', 'High Number of DLP Policies Triggered', 'low', Date.UTC(2026, 2, 5)],
    ['event-1', 'Impossible Travel', 'high', Date.UTC(2026, 2, 4, 5, 6, 7, 89)],
  ]);
});

test('a user is reset', async () => {
  const user = '0b2f4cbe-34c0-4e1f-9a2c-1a0c2f7d6f11';
  assert.deepEqual(await risk.reset(user, { account_id }), {});
  const after = await risk.get(user, { account_id });
  assert.deepEqual(after?.events, []);
  assert.equal(after?.risk_level, undefined);
  recent(after?.last_reset_time ?? '');
});

test('behaviors are read and changed one by one', async () => {
  const before = (await risk.behaviours.get({ account_id }))?.behaviors;
  assert.deepEqual(before?.imp_travel, {
    name: 'Impossible Travel',
    description: 'Two places at a time.',
    enabled: true,
    risk_level: 'high',
  });
  const change = { enabled: true, risk_level: 'low' } as const;
  const answer = await risk.behaviours.update({ account_id, behaviors: { high_dlp: change } });
  assert.equal(answer?.behaviors.high_dlp?.enabled, true);
  assert.equal(answer?.behaviors.high_dlp?.risk_level, 'low');
  assert.deepEqual(Object.keys(answer?.behaviors ?? {}).sort(), ['high_dlp', 'imp_travel']);
  const undo = { enabled: false, risk_level: 'medium' } as const;
  await risk.behaviours.update({ account_id, behaviors: { high_dlp: undo } });
  assert.deepEqual((await risk.behaviours.get({ account_id }))?.behaviors, before);
});

test('an integration is found in three ways', async () => {
  const wanted = {
    id: integration,
    account_tag: account_id,
    integration_type: 'Okta',
    reference_id: reference,
    tenant_url: 'https://example.oktapreview.com',
    well_known_url: wellKnown(integration),
    active: true,
    created_at: '2025-03-19T19:53:56Z',
  };
  const listed = [];
  for await (const one of risk.integrations.list({ account_id })) {
    listed.push(one);
  }
  assert.deepEqual(listed, [wanted]);
  assert.deepEqual(await risk.integrations.get(integration, { account_id }), wanted);
  assert.deepEqual(await risk.integrations.references.get(reference, { account_id }), wanted);
});

test('an integration lives from creation to deletion', async () => {
  const created = await risk.integrations.create({
    account_id,
    integration_type: 'Okta',
    tenant_url: 'https://new.okta.com',
  });
  assert.ok(created);
  assert.match(created.id, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.match(created.reference_id, /^[0-9a-f-]{36}$/);
  recent(created.created_at);
  assert.deepEqual(created, {
    id: created.id,
    account_tag: account_id,
    integration_type: 'Okta',
    reference_id: created.reference_id,
    tenant_url: 'https://new.okta.com',
    well_known_url: wellKnown(created.id),
    active: true,
    created_at: created.created_at,
  });
  const change = { tenant_url: 'https://other.okta.com', active: false, reference_id: 'c' };
  const changed = await risk.integrations.update(created.id, { account_id, ...change });
  assert.deepEqual(changed, { ...created, ...change });
  assert.deepEqual(await risk.integrations.delete(created.id, { account_id }), {});
  await assert.rejects(async () => risk.integrations.get(created.id, { account_id }), Cloudflare.NotFoundError);
});

// All operations, to check that each refuses a request in the same way.
const calls = (account_id: string): Record<string, (risk: ReturnType<typeof scoring>) => Promise<unknown>> => ({
  behaviors: async (risk) => risk.behaviours.get({ account_id }),
  'change behaviors': async (risk) => risk.behaviours.update({ account_id, behaviors: {} }),
  summary: async (risk) => risk.summary.get({ account_id }),
  user: async (risk) => risk.get(ada, { account_id }),
  reset: async (risk) => risk.reset(ada, { account_id }),
  integrations: async (risk) => risk.integrations.list({ account_id }),
  create: async (risk) =>
    risk.integrations.create({ account_id, integration_type: 'Okta', tenant_url: 'https://x.okta.com' }),
  integration: async (risk) => risk.integrations.get(integration, { account_id }),
  change: async (risk) =>
    risk.integrations.update(integration, { account_id, tenant_url: 'https://x.okta.com', active: true }),
  delete: async (risk) => risk.integrations.delete(integration, { account_id }),
  reference: async (risk) => risk.integrations.references.get(reference, { account_id }),
});

const refusals = [
  ['an unknown token', account_id, 'wrong', Cloudflare.AuthenticationError, 10000],
  ['a malformed token', account_id, 'two words', Cloudflare.BadRequestError, 6003],
  ['another account', account_id, 'elsewhere', Cloudflare.PermissionDeniedError, 9109],
  ['no account id', 'acme', 'everything', Cloudflare.NotFoundError, 7003],
  ['no entitlement', 'c'.repeat(32), 'everything', Cloudflare.PermissionDeniedError, 3314],
] as const;

for (const [name, account, token, kind, code] of refusals) {
  test(`every operation is refused: ${name}`, async () => {
    for (const [operation, call] of Object.entries(calls(account))) {
      await assert.rejects(
        () => call(scoring(token)),
        (error) => {
          assert.ok(error instanceof kind, `${operation}: ${error}`);
          assert.equal(error.errors[0]?.code, code, operation);
          return true;
        },
      );
    }
  });
}

test('unknown ids are not found, and bad requests are refused', async () => {
  const rows = [
    [() => risk.get(unknownId, { account_id }), Cloudflare.NotFoundError],
    [() => risk.get('ada', { account_id }), Cloudflare.BadRequestError],
    [() => risk.reset(unknownId, { account_id }), Cloudflare.NotFoundError],
    [() => risk.integrations.get(unknownId, { account_id }), Cloudflare.NotFoundError],
    [() => risk.integrations.references.get('none', { account_id }), Cloudflare.NotFoundError],
    [
      () => risk.integrations.create({ account_id, integration_type: 'Okta', tenant_url: 'okta' }),
      Cloudflare.BadRequestError,
    ],
  ] as const;
  for (const [call, kind] of rows) {
    await assert.rejects(async () => call(), kind);
  }
});

test('all pages of accounts are listed', async () => {
  const listing = (apiToken: string) =>
    new Cloudflare({ baseURL, apiToken, apiKey: null, apiEmail: null, maxRetries: 0 }).accounts.list({ per_page: 5 });
  const found: [string, string][] = [];
  for await (const { id, name } of listing('lists')) found.push([id, name]);
  assert.deepEqual(found.map(([id]) => id), [...'abcdef'].map((letter) => letter.repeat(32)));
  assert.equal(found[3]?.[1], 'Delta');
  await assert.rejects(async () => listing('of-an-account'), Cloudflare.BadRequestError);
});
