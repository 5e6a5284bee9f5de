// Goal: a host is put together in one place, whatever it is for.
// Method: reads who makes objects, invokers, stores, meshes and places in a pool, and what programs, simulations and the
// tests' world import.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const sourcesIn = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.ts'));

const text = (path: string): string => readFileSync(path, 'utf8');
const shipped = [...sourcesIn('src'), ...sourcesIn('actors')];
const callersOf = (maker: string, files: readonly string[]): readonly string[] =>
  files.flatMap((path) =>
    [...text(path).matchAll(new RegExp(`(?<![\\w.])${maker}(?:<[^()]*>)?\\(`, 'g'))].map(() => path),
  );

test.each(['objectsOf', 'invokerOf'])('%s is called in the assembly, and nowhere else', (maker) => {
  const callers = callersOf(maker, [...shipped, 'test/world.ts']);
  expect(callers).toEqual([join('src', 'assembly', 'assemble.ts')]);
});

test.each(['poolOf', 'takingInOf', 'linkPeers', 'serveTunnels', 'serveDisks'])(
  '%s gives a host its place in a pool in the assembly only',
  (maker) => {
    expect(callersOf(maker, shipped)).toEqual([join('src', 'assembly', 'pool.ts')]);
  },
);

test.each([
  'plugAtStart',
  'clearArrivals',
  'bootstrap',
  'refreshOwnHost',
  'autoStart',
  'smRows',
  'collectorOf',
])('%s is a step of a start, or of what is done from time to time, that is taken in the assembly', (step) => {
  // Pools that were there before a simulation begins have a past, which is made otherwise.
  const past = /^src\/simulation\/(sandbox\/(rows|sandbox)|pool\/past)\.ts$/;
  const callers = callersOf(step, shipped).filter((path) => !past.test(path));
  expect(new Set(callers.map((path) => path.split('/').slice(0, 2).join('/')))).toEqual(
    new Set(['src/assembly']),
  );
});

test.each([
  ['the program', 'src/main/up.ts', 'startHost', 'host'],
  ['a pool in virtual time', 'src/simulation/pool/process.ts', 'startHost', 'host'],
  ['a simulated pool for clients', 'src/simulation/sandbox/host.ts', 'assemble', 'assemble'],
  ['the world of tests', 'test/world.ts', 'assemble', 'assemble'],
])('%s assembles its hosts', (_, path, maker, file) => {
  expect(text(path)).toMatch(
    new RegExp(`import \\{[^}]*\\b${maker}\\b[^}]*\\} from '[./a-z]*/${file}\\.ts'`),
  );
  expect(callersOf(maker, [path])).not.toEqual([]);
});

test('a host of a pool has its objects assembled, too', () => {
  expect(text('src/assembly/host.ts')).toMatch(/makers\?\.objects \?\? assemble\)\(/);
});

test('what is done from time to time is done by the same program everywhere', () => {
  expect(new Set(callersOf('housekeeping', shipped))).toEqual(
    new Set([join('src', 'assembly', 'host.ts'), join('src', 'main', 'sim.ts')]),
  );
});
