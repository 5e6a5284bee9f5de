// Goal: the rules of docs/house.md that a compiler does not see.
// Method: a reading of every source file.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { files, sources, text } from './tree.ts';

const tests = files('test');
const offenders = (paths: readonly string[], bad: (source: string, path: string) => boolean): string[] =>
  paths.filter((path) => bad(text(path), path));

describe('source files', () => {
  const adapters = /^src\/(drivers\/node|main)(\/|\.ts)/;

  test('have at most 500 lines', () => {
    expect(offenders(sources, (source) => source.split('\n').length > 501)).toEqual([]);
  });

  test('take time, chance and the machine from their adapters only', () => {
    const direct =
      /\b(Date\.now|Math\.random|performance\.now|setTimeout|setInterval|setImmediate|process\.(env|argv|exit|hrtime|pid))\b/;
    const core = sources.filter(
      (path) => !adapters.test(path) && !/^src\/(daemons\/[a-z]+\/main|plugins\/script)\.ts$/.test(path),
    );
    expect(offenders(core, (source) => direct.test(source))).toEqual([]);
  });

  test('leave the reading of JSON from outside to one reader, and MessagePack to the codec of the mesh', () => {
    const reader = /^src\/(std\/reader|codec\/json-reader)\.ts$/;
    const others = sources.filter((path) => !reader.test(path));
    expect(offenders(others, (source) => /\bJSON\.parse\b/.test(source))).toEqual([]);
    expect(offenders(sources, (source) => /from 'msgpackr'/.test(source))).toEqual([]);
  });

  test('have no classes but errors, no enum, no decorator and nothing left for later', () => {
    const later = /\b(TODO|FIXME|XXX)\b/;
    const oddClass = /\bclass \w+\b(?! extends (Error|\w*(Error|Fault|Failure))\b)[\w<> ]*\{/;
    const code = (source: string): string =>
      source.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*|'[^'\n]*'|`[^`]*`/g, '');
    expect(offenders(sources, (source) => later.test(source))).toEqual([]);
    expect(offenders(sources, (source) => oddClass.test(code(source)))).toEqual([]);
    expect(offenders(sources, (source) => /^\s*(export )?(const )?enum /m.test(code(source)))).toEqual([]);
  });

  test('are named in kebab case, or after their class', () => {
    const named =
      /^(src|test)(\/[a-z0-9-]+)*\/[a-z0-9-]+(\.test|\.d)?\.ts$|^actors(\/[a-z0-9_-]+)*\/[a-z0-9_-]+\.ts$/;
    expect(
      [...sources, ...tests].filter((path) => !named.test(path) && !path.startsWith('test/actors/')),
    ).toEqual([]);
  });

  test('are not called Manager, Service, Helper, Util, Base or Impl', () => {
    const vague = /\b(\w*(Manager|Helper|Util|Utils|Impl)|Base[A-Z]\w*)\b(?=\s*[=({<:])/;
    const declared = /\b(interface|type|const|class|function) /;
    expect(
      offenders(sources, (source) =>
        source.split('\n').some((line) => declared.test(line) && vague.test(line)),
      ),
    ).toEqual([]);
  });
});

/** Words that said too many things, or nothing, and what they were; docs/glossary.md has those that are used. */
const banned = /\b(Ground|Standing|Told|Forsaken|forsaken)\b(?=\s*[=({<:;,)\]|])/;

describe('a word', () => {
  test('that the glossary does without names nothing', () => {
    expect(offenders(sources, (source) => banned.test(source))).toEqual([]);
  });

  test('is the name of one type: two rooms that export it mean the same', () => {
    const places = new Map<string, string[]>();
    for (const path of sources) {
      for (const [, name = ''] of text(path).matchAll(/^export (?:type|interface) ([A-Z]\w*)/gm)) {
        places.set(name, [...(places.get(name) ?? []), path]);
      }
    }
    const twice = [...places].filter(([, paths]) => paths.length > 1).map(([name]) => name);
    // The journal of a program and the log of a pool; what a leader has, in each engine; and what each of the two
    // simulations of hosts has of its own.
    const same = ['GuestAct', 'Guests', 'Log', 'SimulatedMachine', 'Tenure', 'Trouble'];
    expect(twice.filter((name) => !same.includes(name)).toSorted()).toEqual([]);
    expect(places.size).toBeGreaterThan(500);
  });

  test('such as term stands for no time of a leader, and settle for nothing but the end of a call', () => {
    const log = sources.filter((path) => /^src\/(log|store|pool)\//.test(path));
    expect(offenders(log, (source) => /\b[Tt]erm\b/.test(source))).toEqual([]);
    const settling = /^(src\/objects|actors)\//;
    const others = sources.filter((path) => !settling.test(path));
    expect(offenders(others, (source) => /\b(const|function) settle\b/.test(source))).toEqual([]);
  });
});

describe('test files', () => {
  test('say their goal and their method, and assert', () => {
    const suites = tests.filter((path) => path.endsWith('.test.ts'));
    expect(
      offenders(suites, (source) => !/^\/\/ Goal: /.test(source) || !/^\/\/ Method: /m.test(source)),
    ).toEqual([]);
    expect(offenders(suites, (source) => !source.includes('expect'))).toEqual([]);
  });

  test('wait for events, never for time', () => {
    expect(
      offenders(tests, (source) => /\bsleep\(\s*\d|setTimeout\(\s*resolve\s*,\s*\d{2,}/.test(source)),
    ).toEqual([]);
  });
});

const tracked = spawnSync('git', ['ls-files'], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);

test('nothing names a folder beside the tree: it stands alone', () => {
  const outside = /share[d]\/(conformance|reference|found|design)|\.\.\/share[d]\b(?!-places)/;
  const readable = tracked.filter((path) => !path.endsWith('.json'));
  expect(readable.filter((path) => outside.test(readFileSync(path, 'utf8')))).toEqual([]);
});

test('nothing names a path of a machine or a package host', () => {
  const foreign = /(^|[^A-Za-z0-9_.])\/(wor[k]|far[m])\/|registry\.np[m]|deb\.debia[n]\.org/;
  expect(tracked.filter((path) => foreign.test(readFileSync(path, 'utf8')))).toEqual([]);
});
