// Goal: a database is written as xapi reads it and read as xapi writes it; what is no such thing is refused with words that help.
// Method: rows of every class with generated values through text and back; single values and whole documents by hand.
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { VM } from '../../../actors/vm/class.ts';
import { stateText } from '../../../src/rules/state-db/text.ts';
import { DecodeFailure } from '../../../src/std/decode-failure.ts';
import { anyRows, documentOf, fieldsWith, least, readBack, schemas } from './rows.ts';

const readable = (cls: string, field: string): boolean => {
  const schema = schemas.get(cls);
  const declared = schema?.cls.fields[field];
  return schema?.stored.has(field) === true && declared?.ours !== true && declared?.removed !== true;
};

test('rows of every class are read back as they were, each character included', () => {
  fc.assert(
    fc.property(anyRows, (rows) => {
      const { rows: read, passedOver, manifest } = readBack(documentOf(rows));
      expect(passedOver).toEqual([]);
      expect(manifest.generation).toBe(90);
      expect(new Map(read.map(({ cls, ...row }) => [cls, row]))).toEqual(
        new Map(
          rows.map(({ cls, ref, fields }) => {
            const kept = Object.entries(fields).filter(([name]) => readable(cls, name));
            return [cls, { ref, created: 7, modified: 8, fields: Object.fromEntries(kept) }];
          }),
        ),
      );
    }),
    { numRuns: 12 },
  );
});

const vm = (fields: object) => [
  ...least,
  { cls: 'VM', ref: 'OpaqueRef:v', fields: { uuid: 'vm-1', ...fields } },
];

test('tables, attributes and values stand where xapi has them', () => {
  const text = documentOf(vm({ name_label: 'a  "b"\n50% <&>', other_config: new Map([["it's", 'C:\\x']]) }));
  expect(text).toContain(
    '<?xml version="1.0" encoding="UTF-8"?>\n<database><manifest><pair key="schema_major_vsn" value="5"/>' +
      '<pair key="schema_minor_vsn" value="909"/><pair key="generation_count" value="90"/></manifest><table',
  );
  expect(text).toContain('<row ref="OpaqueRef:v" __ctime="7" __mtime="8" HVM__boot_params="()" ');
  expect(text).toContain(' name__label="a%.%.&quot;b&quot;%n50%%%.&lt;&amp;&gt;" ');
  expect(text).toContain(` other_config="(('it\\'s'%.'C:\\\\x'))" `);
  expect(text).toMatch(/ VUSBs="[^"]*" _ref="OpaqueRef:v" actions__/);
  const tables = [...text.matchAll(/<table name="(\w+)"/g)].map(([, name]) => name as string);
  expect(tables).toEqual([...tables].sort());
  expect(tables.some((name) => name.startsWith('xenact'))).toBe(false);
  expect(text).not.toContain('leftovers');
});

test('every column of a class is written, and none that xapi does not have', () => {
  const [, row = ''] = documentOf(vm({})).match(/<row ref="OpaqueRef:v" ([^/]*)\/>/) ?? [];
  const columns = [...row.matchAll(/(\w+)="/g)].map(([, name]) => name);
  const fields = Object.entries(VM.fields).filter(([, { ours }]) => ours !== true);
  expect(columns.toSorted()).toEqual(
    ['__ctime', '__mtime', '_ref', ...fields.map(([name, { column }]) => column ?? name)].toSorted(),
  );
});

test('what XML cannot hold is cut, and the rest is read back', () => {
  const [read] = readBack(documentOf(vm({ name_label: 'ab\u0001cd', tags: ['x\u0000y', 'z'] }))).rows.filter(
    ({ cls }) => cls === 'VM',
  );
  expect([read?.fields['name_label'], read?.fields['tags']]).toEqual(['ab', ['x', 'z']]);
});

const document = (tables: string, minor = 909): string =>
  '<?xml version="1.0"?><database><manifest><pair key="schema_major_vsn" value="5"/>' +
  `<pair key="schema_minor_vsn" value="${minor}"/><pair key="generation_count" value="9"/></manifest>` +
  `<table name="host"><row ref="OpaqueRef:h" uuid="H"/></table><table name="pool"><row ref="OpaqueRef:p" uuid="P"` +
  ` master="OpaqueRef:h"/></table>${tables}</database>`;

const readVm = (attributes: string) =>
  readBack(document(`<table name="VM"><row ref="OpaqueRef:v" uuid="V" ${attributes}/></table>`));

describe('of other writers', () => {
  test.each([
    ['older spaces', 'name__label="a b%_c"', 'name_label', 'a b  c'],
    ['spellings that nobody has', 'name__label="100%z%"', 'name_label', '100%z%'],
    ['a line end that is meant', 'name__label="a&#10;b"', 'name_label', 'a\nb'],
    ['a line end that is not', 'name__label="a\nb"', 'name_label', 'a b'],
    ['sets in double quotes', `tags='("a"%."b\\"c")'`, 'tags', ['a', 'b"c']],
    ['a reference of no length', 'snapshot_of=""', 'snapshot_of', 'OpaqueRef:NULL'],
    ['floats of another language', 'HVM__shadow_multiplier="1."', 'HVM_shadow_multiplier', 1],
  ])('%s are understood', (_, attributes, field, value) => {
    expect(readVm(attributes).rows.find(({ cls }) => cls === 'VM')?.fields[field]).toEqual(value);
  });

  test('columns and tables that nobody knows are told and passed over, fields of memory alone are not taken', () => {
    const read = readBack(
      document(
        '<table name="VM"><row ref="OpaqueRef:v" uuid="V" colour="red" current_operations="((\'t\'%.\'start\'))"/>' +
          '</table><table name="toy"><row ref="OpaqueRef:t"/></table><table name="task"><row ref="t"/></table>',
      ),
    );
    expect(read.rows.find(({ cls }) => cls === 'VM')?.fields).toEqual({ uuid: 'V' });
    expect(read.passedOver).toEqual([
      'The column colour of VM is unknown',
      'Rows of toy are not kept: 1',
      'Rows of task are not kept: 1',
    ]);
  });

  test('a packed file is unpacked, and one that would not end is refused', async () => {
    const chunks = async function* (bytes: Uint8Array) {
      yield bytes.subarray(0, 5);
      yield bytes.subarray(5);
    };
    expect(await stateText(chunks(gzipSync(document(''))))).toBe(document(''));
    expect(await stateText(chunks(Buffer.from(document(''))))).toBe(document(''));
    const bomb = gzipSync(Buffer.alloc(4_001));
    for (const bytes of [bomb, Buffer.alloc(4_001, ' ')])
      await expect(stateText(chunks(bytes), 4_000)).rejects.toThrow('at most 4000 bytes');
    await expect(stateText(chunks(gzipSync('x').subarray(0, 12)))).rejects.toThrow('cut short');
    await expect(stateText(chunks(Buffer.from([0xff, 0xfe, 0, 1, 2, 3])))).rejects.toThrow('UTF-8');
  });
});

describe('a document is refused that', () => {
  const bomb = '<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>';
  test.each([
    ['is empty', '', 'Expected <database>'],
    ['is something else', '<html></html>', 'Expected <database>'],
    ['is cut short', document('').slice(0, -30), 'Expected'],
    ['goes on', `${document('')}<more/>`, 'end of the document'],
    ['has a document type', document('').replace('?>', `?>${bomb}`), 'no document type'],
    ['names an entity', document('<table name="VM"><row ref="&a;"/></table>'), 'a reference such as'],
    [
      'is deeper than rows',
      document('<table name="VM"><row ref="a"><row ref="b"/></row></table>'),
      'nothing within',
    ],
    [
      'has a table within a table',
      document('<table name="VM"><table name="VM"/></table>'),
      'Expected <row/>',
    ],
    ['has a table twice', document('<table name="VM"/><table name="VM"/>'), 'only once'],
    [
      'has a row twice',
      document('<table name="VM"><row ref="a" uuid="1"/><row ref="a"/></table>'),
      'only once',
    ],
    [
      'has an attribute twice',
      document('<table name="VM"><row ref="a" uuid="1" uuid="2"/></table>'),
      'only once',
    ],
    [
      'has a row without a name',
      document('<table name="VM"><row uuid="1"/></table>'),
      'the reference of the row',
    ],
    ['counts in words', document('<table name="VM"><row ref="a" __ctime="one"/></table>'), '__ctime'],
    [
      'has one name for two rows',
      document('<table name="VM"><row ref="OpaqueRef:h" uuid="1"/></table>'),
      'twice',
    ],
    [
      'has one uuid for two rows',
      document('<table name="VM"><row ref="a" uuid="H"/></table>'),
      'of two rows',
    ],
    ['has a row without a uuid', document('<table name="VM"><row ref="a"/></table>'), 'no uuid'],
    ['has no pool', document('').replace(/<row[^>]*>/g, ''), 'It has no pool'],
    ['is of a schema to come', document('', 910), 'Take a newer xenact'],
    ['is of a schema long gone', document('', 601), 'Upgrade the pool first'],
  ])('%s', (_, text, said) => {
    expect(() => readBack(text)).toThrow(DecodeFailure);
    expect(() => readBack(text)).toThrow(said);
  });

  test.each([
    ['is_a_template="maybe"', 'is_a_template: Neither true nor false'],
    ['memory__target="many"', 'memory__target: '],
    ['power_state="Dreaming"', 'power_state: '],
    [`tags="('a'"`, 'tags: Not an s-expression'],
    [`tags="${'('.repeat(40)}"`, 'tags: Not an s-expression'],
    [`other_config="('a')"`, 'other_config: Not the text of a row'],
    ['snapshot_time="yesterday"', 'snapshot_time: '],
    [`name__label="${'x'.repeat(200_000)}"`, 'name__label: '],
  ])('has the value %s', (attributes, said) => {
    expect(() => readVm(attributes)).toThrow(`VM OpaqueRef:v, ${said}`.slice(0, 60));
  });
});

test('fields that a row does not have are at their defaults', () => {
  expect(fieldsWith('VM', {})['tags']).toEqual([]);
  expect(readVm('').rows.find(({ cls }) => cls === 'VM')?.fields).toEqual({ uuid: 'V' });
});
