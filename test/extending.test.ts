// Goal: docs/extending.md is true: who follows a recipe gets something that works.
// Method: the page is followed in a copy of the tree: its files are made, its changes applied where the lines that it
// names are; then the types are checked and the tests of the recipes run there.
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

interface Step {
  readonly kind: 'New' | 'Change';
  readonly path: string;
  readonly block: string;
}

const page = readFileSync('docs/extending.md', 'utf8');

/** Each block belongs to the file that was named last. */
const stepsOf = (text: string): readonly Step[] => {
  const steps: Step[] = [];
  let [kind, path]: [Step['kind'], string] = ['New', ''];
  for (const [, named, file, , block] of text.matchAll(
    /^(New|Change): `([^`]+)`$|^```(ts|diff)\n([\s\S]*?)^```$/gm,
  )) {
    if (named !== undefined && file !== undefined) [kind, path] = [named as Step['kind'], file];
    if (block !== undefined) steps.push({ kind, path, block });
  }
  return steps;
};

const side = (block: string, left: string): string =>
  block
    .split('\n')
    .filter((line) => line.startsWith(' ') || line.startsWith(left))
    .map((line) => `${line.slice(1)}\n`)
    .join('');

/** Throws where the lines that a change names are not there, or more than once. */
const changed = (source: string, { path, block }: Step): string => {
  const parts = `\n${source}`.split(`\n${side(block, '-')}`);
  if (parts.length !== 2) {
    throw new Error(`${path} has ${parts.length - 1} places where the page says: ${side(block, '-')}`);
  }
  return parts.join(`\n${side(block, '+')}`).slice(1);
};

const steps = stepsOf(page);
const folder = mkdtempSync(join(tmpdir(), 'xenact-extending-'));

const follow = (step: Step): void => {
  const { kind, path, block } = step;
  const file = join(folder, path);
  if (kind === 'New') {
    if (existsSync(file)) throw new Error(`${path} is there already`);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, block);
  } else writeFileSync(file, changed(readFileSync(file, 'utf8'), step));
};

beforeAll(() => {
  for (const part of ['src', 'actors', 'test', 'package.json', 'tsconfig.json']) {
    cpSync(part, join(folder, part), { recursive: true });
  }
  symlinkSync(resolve('node_modules'), join(folder, 'node_modules'));
  for (const step of steps) follow(step);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What a program says that is run in the copy, however it ends. */
const said = (...command: readonly string[]): Promise<string> =>
  promisify(execFile)(process.execPath, command, { cwd: folder, maxBuffer: 1 << 26 }).then(
    ({ stdout }) => stdout,
    ({ stdout }: { readonly stdout: string }) => stdout,
  );

const made = steps.filter(({ kind }) => kind === 'New').map(({ path }) => path);

describe('docs/extending.md', () => {
  test('has a recipe for a class, an HTTP action, a driver and an engine, each with a test', () => {
    for (const [room, tests] of [
      ['actors/', 'test/actors/'],
      ['actors/host/', 'test/edge/'],
      ['src/drivers/', 'test/rpc/'],
      ['src/log/', 'test/log/'],
    ] as const) {
      expect(made.some((path) => path.startsWith(room))).toBe(true);
      expect(made.some((path) => path.startsWith(tests))).toBe(true);
    }
  });

  test('fails where it names lines that are not there', () => {
    const change = steps.find(({ kind }) => kind === 'Change') as Step;
    expect(() => changed('something else\n', change)).toThrow('0 places');
    const twice = side(change.block, '-');
    expect(() => changed(`${twice}-\n${twice}`, change)).toThrow('2 places');
  });

  test('makes code whose types fit', { timeout: 600_000 }, async () => {
    const touched = [...new Set(steps.map(({ path }) => path))];
    writeFileSync(
      join(folder, 'tsconfig.recipes.json'),
      JSON.stringify({ extends: './tsconfig.json', compilerOptions: { noEmit: true }, include: touched }),
    );
    const tsc = join('node_modules', 'typescript', 'bin', 'tsc');
    expect(await said(tsc, '-p', 'tsconfig.recipes.json')).toBe('');
  });

  test('makes tests that pass', { timeout: 600_000 }, async () => {
    const tests = made.filter((path) => path.endsWith('.test.ts'));
    const report = await said(
      join('node_modules', 'vitest', 'vitest.mjs'),
      'run',
      '--reporter=json',
      ...tests,
    );
    expect(JSON.parse(report.slice(report.indexOf('{')))).toMatchObject({
      numFailedTests: 0,
      testResults: tests.map(() => expect.objectContaining({ status: 'passed' })),
    });
  });
});
