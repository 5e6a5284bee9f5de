// Goal: a host is put together in one place, whatever it is for.
// Method: reads who makes objects and invokers, and what programs, simulations and the tests' world import.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const sourcesIn = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.ts'));

const text = (path: string): string => readFileSync(path, 'utf8');

test.each(['objectsOf', 'invokerOf'])('%s is called in the assembly, and nowhere else', (maker) => {
  const callers = [...sourcesIn('src'), ...sourcesIn('actors'), 'test/world.ts'].flatMap((path) =>
    [...text(path).matchAll(new RegExp(`(?<!\\w)${maker}\\(`, 'g'))].map(() => path),
  );
  expect(callers).toEqual([join('src', 'assembly', 'assemble.ts')]);
});

test.each([
  ['the program', 'src/main/runtime.ts'],
  ['a simulated pool for clients', 'src/simulation/sandbox/host.ts'],
  ['a pool in virtual time', 'src/simulation/pool/process.ts'],
  ['the world of tests', 'test/world.ts'],
])('%s assembles its hosts', (_, path) => {
  expect(text(path)).toMatch(/import \{[^}]*\bassemble\b[^}]*\} from '[./a-z]*\/assembly\/assemble\.ts'/);
  expect(text(path)).toMatch(/(?<!\w)assemble\(/);
});
