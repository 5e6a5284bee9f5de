// Goal: docs/coverage.md tells the truth about which messages are implemented.
// Method: every message without a handler is called in a small world, and what answers NOT_IMPLEMENTED is
// compared with what the page calls missing; then the page is generated anew and compared with the file.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { coverageOf, coveragePage, missingOf, unservedOf } from '../../src/edge/coverage.ts';
import { whyMissing, whyUnserved } from '../../src/edge/missing.ts';
import type { WireMessage } from '../../src/model/derive.ts';
import { nullRef } from '../../src/model/types.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { Fault } from '../../src/std/fault.ts';
import { world } from '../world.ts';

const catalog = catalogOf(classes, behaviours);
const usage = JSON.parse(readFileSync(new URL('../../docs/client-usage.json', import.meta.url), 'utf8'));

test('a message without a handler answers NOT_IMPLEMENTED if, and only if, the page calls it missing', async () => {
  const { call } = await world({ behaviours });
  const codeOf = ({ method, params }: WireMessage): Promise<string> =>
    call(method, ...params.map(({ type }) => (type.kind === 'ref' ? nullRef : type.empty))).then(
      () => 'answered',
      (error) => (error instanceof Fault ? error.code : String(error)),
    );
  const wrong: string[] = [];
  for (const message of catalog.messages) {
    if (catalog.handler(message) !== undefined || message.cls.name === 'event') continue;
    const code = await codeOf(message);
    const coverage = coverageOf(catalog, message);
    const expected = { missing: 'NOT_IMPLEMENTED', removed: 'MESSAGE_REMOVED' }[coverage as string];
    const fits = expected === undefined ? code !== 'NOT_IMPLEMENTED' : code === expected;
    if (!fits) wrong.push(`${message.method}: ${coverage}, but ${code}`);
  }
  expect(wrong).toEqual([]);
});

test('totals count each message once, and removed ones apart', () => {
  const page = coveragePage(catalog, usage);
  const [, implemented, of, handled, declared, missing, removed] =
    /\| All classes \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|/
      .exec(page)!
      .map(Number) as number[];
  expect(implemented).toBe(handled! + declared!);
  expect(of).toBe(implemented! + missing!);
  expect(of! + removed!).toBe(catalog.messages.length);
});

test('what most clients call is not left out without a reason', () => {
  expect(missingOf(catalog, usage).filter((method) => (whyMissing.get(method) ?? '') === '')).toEqual([]);
  expect([...whyMissing.keys()].filter((method) => catalog.find(method) === undefined)).toEqual([]);
});

test('what is declared to be asked for by HTTP is not left out without a reason', () => {
  expect(unservedOf(catalog).filter((name) => (whyUnserved.get(name) ?? '') === '')).toEqual([]);
  expect([...whyUnserved.keys()].filter((name) => catalog.action(name) === undefined)).toEqual([]);
});

test('docs/coverage.md is what the catalog generates: run `npm run docs` when it is not', () => {
  const file = readFileSync(new URL('../../docs/coverage.md', import.meta.url), 'utf8');
  expect(file).toBe(coveragePage(catalog, usage));
});
