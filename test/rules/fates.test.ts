// Goal: the page on what becomes of each field is the tables that the code reads, and a row written as text is
// read back as it was.
// Method: the file in docs beside what the tables give; rows with every kind of value through text and back.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { VM } from '../../actors/vm/class.ts';
import { readSexpr, writeSexpr } from '../../src/codec/sexpr.ts';
import type { AnyClass } from '../../src/model/class.ts';
import { fatesPage } from '../../src/rules/fates/page.ts';
import { readRecordText, recordText } from '../../src/rules/fates/record-text.ts';
import { defaultRow, distinctRow } from '../actors/distinct.ts';

test('docs/copies.md is what the tables give: run `npm run docs` when it is not', () => {
  expect(readFileSync(new URL('../../docs/copies.md', import.meta.url), 'utf8')).toBe(fatesPage());
});

test('rows of every class come back from text as they were, awkward characters included', () => {
  const tx: any = { get: () => ({}) };
  for (const cls of classes as readonly AnyClass[]) {
    const fields = Object.values(cls.fields);
    if (fields.some(({ type }) => type.kind === 'record' || type.kind === 'option')) continue;
    const row = { ...defaultRow(cls), ...distinctRow(cls, tx, 1) };
    const text = recordText(cls as typeof VM, row as never);
    expect(readRecordText(cls as typeof VM, text), cls.name).toEqual(row);
  }
});

test('columns are named and values written as others write them', () => {
  const text = recordText(VM, {
    ...Object.fromEntries(Object.entries(VM.fields).map(([name, { type }]) => [name, type.empty])),
    name_label: "it's",
    HVM_shadow_multiplier: 0.1,
    tags: ['a', 'b\\c'],
    VCPUs_params: new Map([['weight', '256']]),
  } as never);
  for (const pair of [
    `('name__label' 'it\\'s')`,
    `('HVM__shadow_multiplier' '0.100000000000000006')`,
    `('tags' '(\\'a\\' \\'b\\\\\\\\c\\')')`,
    `('VCPUs__params' '((\\'weight\\' \\'256\\'))')`,
    `('is_a_template' 'false')`,
  ]) {
    expect(text).toContain(pair);
  }
});

test('a row of another release is read: columns that nobody knows are passed over, missing ones left out', () => {
  expect(readRecordText(VM, `(('name__label' 'a') ('no_such_column' 'b'))`)).toEqual({ name_label: 'a' });
  expect(readSexpr(` ( "a\\"b" 'c' ( ) ) `)).toEqual(['a"b', 'c', []]);
  expect(writeSexpr(['a', ['b', []]])).toBe(`('a' ('b' ()))`);
});

test.each(['', '(', "('a'", "('a' b)", `${'('.repeat(50)}`, "('a') 'b'"])('%j is refused', (text) => {
  expect(() => readSexpr(text)).toThrow('Not an s-expression');
});

test.each(["'a'", "('a')", "(('a' ('b')))", "(('tags' 'x'))"])('%s is no row', (text) => {
  expect(() => readRecordText(VM, text)).toThrow();
});
