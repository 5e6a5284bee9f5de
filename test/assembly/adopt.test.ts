// Goal: what a database of another pool has no place for is known before anything is written, and goes by the house's own rules.
// Method: small databases through the decision in memory.
import { expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { type Adopted, type AdoptWish, adopt } from '../../src/assembly/adopt.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { holdingOf, referencesIn } from '../../src/model/references.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { silentLog } from '../../src/std/log.ts';
import { documentOf, type GivenRow, least, readBack, schemas } from '../rules/state-db/rows.ts';

const catalog = catalogOf(classes, behaviours);

const adopted = (rows: readonly GivenRow[], wish: Partial<AdoptWish> = {}): Promise<Adopted> => {
  const state = readBack(documentOf(rows));
  return adopt({ catalog, clock: nodeClock, log: silentLog }, { state, keepsSecrets: true, ...wish });
};

const fieldsOf = ({ rows }: Adopted, ref: string) => rows.find((row) => row.ref === ref)?.fields;
const row = (cls: string, name: string, fields: object = {}): GivenRow => ({
  cls,
  ref: `OpaqueRef:${name}`,
  fields: { uuid: name, ...fields },
});

const other = row('host', 'h2', { name_label: 'two' });

test('references to nothing are cleared, and what cannot be without them goes', async () => {
  const result = await adopted([
    ...least,
    row('VM', 'vm', { affinity: 'OpaqueRef:gone', suspend_VDI: 'OpaqueRef:gone', power_state: 'Suspended' }),
    row('VDI', 'lost', { SR: 'OpaqueRef:gone' }),
    row('VBD', 'drive', { VM: 'OpaqueRef:vm', VDI: 'OpaqueRef:lost', type: 'Disk' }),
    row('VBD', 'cd', { VM: 'OpaqueRef:vm', VDI: 'OpaqueRef:lost', type: 'CD' }),
    row('subject', 'subject', { roles: ['OpaqueRef:0165f154-ba3e-034e-6b27-5d271af109ba'] }),
  ]);
  expect(fieldsOf(result, 'OpaqueRef:vm')).toMatchObject({
    affinity: 'OpaqueRef:NULL',
    power_state: 'Halted',
  });
  expect(fieldsOf(result, 'OpaqueRef:lost')).toBeUndefined();
  expect(fieldsOf(result, 'OpaqueRef:cd')).toMatchObject({ VDI: 'OpaqueRef:NULL', empty: true });
  expect(fieldsOf(result, 'OpaqueRef:drive')).toBeUndefined();
  expect(fieldsOf(result, 'OpaqueRef:subject')?.['roles']).toHaveLength(1);
  const there = new Set(result.rows.map(({ cls, ref }) => `${cls} ${ref}`));
  for (const { cls, fields } of result.rows) {
    for (const [name, { type, gone, computed }] of Object.entries(schemas.get(cls)?.cls.fields ?? {})) {
      const holding = gone === 'stays' || computed === true ? undefined : holdingOf(type);
      if (holding === undefined || holding.of === 'role' || !(name in fields)) continue;
      for (const ref of referencesIn(holding, fields[name]))
        expect(there, `${cls}.${name}`).toContain(`${holding.of} ${ref}`);
    }
  }
});

test('of several hosts somebody says which this machine is, unless it knows', async () => {
  await expect(adopted([...least, other])).rejects.toThrow(
    'The database has 2 hosts: one (host-1), two (h2)',
  );
  await expect(adopted(least, { host: { old: 'nobody', uuid: 'x' } })).rejects.toThrow('no host nobody');
  expect((await adopted([...least, other], { machine: 'h2' })).host).toBe('OpaqueRef:h2');
  const mapped = await adopted([...least, other], { host: { old: 'h2', uuid: 'new' } });
  expect(fieldsOf(mapped, 'OpaqueRef:h2')?.['uuid']).toBe('new');
  expect(fieldsOf(mapped, 'OpaqueRef:h')).toBeUndefined();
  expect(fieldsOf(mapped, 'OpaqueRef:p')?.['master']).toBe('OpaqueRef:h2');
});

test('secrets lose their values where that is asked, and are kept else', async () => {
  const rows = [...least, row('secret', 'secret', { value: 'hidden' })];
  expect(fieldsOf(await adopted(rows), 'OpaqueRef:secret')?.['value']).toBe('hidden');
  const emptied = await adopted(rows, { keepsSecrets: false });
  expect(fieldsOf(emptied, 'OpaqueRef:secret')?.['value']).toBe('');
  expect(emptied.changes).toContain('1 secrets have lost their values: set them again with secret.set_value');
});

test('repositories of a pool of ours stay plugged, and its generations go on', async () => {
  const sr = [
    row('SR', 'sr'),
    row('PBD', 'pbd', { SR: 'OpaqueRef:sr', host: 'OpaqueRef:h', currently_attached: true }),
  ];
  const ours = least.map((one) =>
    one.cls === 'host'
      ? { ...one, fields: { ...one.fields, software_version: new Map([['xenact', '1']]) } }
      : one,
  );
  expect(fieldsOf(await adopted([...ours, ...sr]), 'OpaqueRef:pbd')?.['currently_attached']).toBe(true);
  const foreign = await adopted([...least, ...sr]);
  expect(fieldsOf(foreign, 'OpaqueRef:pbd')?.['currently_attached']).toBe(false);
  expect(foreign.generation).toBeGreaterThanOrEqual(90);
  for (const { modified } of foreign.rows) expect(modified).toBeLessThanOrEqual(foreign.generation);
});
