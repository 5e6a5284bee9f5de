// Goal: a guest's processor lacks what it is to lack: each feature is called by the emulator's own name for it.
// Method: QEMU is asked for its processor whole, with every second feature, and with one word of them left out.
import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { option } from '../../../src/daemons/xenopsd/qemu/arguments.ts';
import { featuresSaid, processorWith } from '../../../src/daemons/xenopsd/qemu/processor.ts';
import { membersOf } from '../../../src/std/reader.ts';
import { noQemu } from './guests.ts';

const ask = (processor: string): readonly number[] => {
  const path = { path: '/machine/unattached/device[0]', property: 'feature-words' };
  const questions = [
    { execute: 'qmp_capabilities' },
    { execute: 'qom-get', arguments: path },
    { execute: 'quit' },
  ];
  const { stdout, stderr } = spawnSync(
    'qemu-system-x86_64',
    `-nodefaults -machine pc -m 16 -display none -S -accel tcg -cpu ${processor} -qmp stdio`.split(' '),
    { input: questions.map((one) => JSON.stringify(one)).join('\n'), encoding: 'utf8' },
  );
  expect(stderr).toBe('');
  const answers = stdout.split('\n').flatMap((line) => (line.trim() === '' ? [] : [JSON.parse(line)]));
  return featuresSaid(membersOf(answers.filter((one) => 'return' in one)[1])['return']);
};

describe.skipIf(noQemu)('The processor of a guest', () => {
  const argument = option`max`;
  const features = noQemu ? [] : ask('max');
  const have = (word: number): number => features[word] ?? 0;

  test('is whole where nothing is said', () => {
    expect(features.filter((word) => word !== 0).length).toBeGreaterThan(5);
    expect(processorWith({ argument, features }, features)).toBe('max');
  });

  test('has nothing beyond what it is to have', () => {
    for (const mask of [0x5555_5555, 0xaaaa_aaaa]) {
      const wanted = features.map((word) => (word & mask) >>> 0);
      const seen = ask(processorWith({ argument, features }, wanted));
      const surplus = (word: number, at: number): number => (word & ~(wanted[at] ?? 0)) >>> 0;
      expect(seen.map(surplus)).toEqual(features.map(() => 0));
    }
  });

  test('lacks one word and nothing else where only that is left out', () => {
    const wanted = features.map((word, at) => (at === 5 ? 0 : word));
    const seen = ask(processorWith({ argument, features }, wanted));
    expect(seen.slice(0, 4)).toEqual([0, 1, 2, 3].map(have));
    expect(seen[5]).toBe(0);
  });
});
