// Goal: after a start rows have their derived fields again, although no client changed them.
// Method: a store is loaded from what a first life wrote, and everything is derived once.

import { expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import type { Ref } from '../../src/model/types.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { deriveAll, deriveInPlace } from '../../src/objects/derive-all.ts';
import { deriveRows } from '../../src/objects/derive-rows.ts';
import { silentLog } from '../../src/std/log.ts';
import { changesSince } from '../../src/store/changes.ts';
import { openStore } from '../../src/store/store.ts';
import { memoryDisk } from '../world.ts';

test.each([
  ['by a commit', deriveAll],
  ['in the rows as they were read', async (by: Parameters<typeof deriveInPlace>[0]) => deriveInPlace(by)],
] as const)(
  'allowed operations are there again after a start, and nothing of it is written: %s',
  async (_, derive) => {
    const catalog = catalogOf(classes, behaviours);
    const row = (cls: string, ref: string, fields: object) => ({
      cls,
      ref,
      created: 1,
      modified: 1,
      fields: fields as Record<string, unknown>,
    });
    const rows = [row('pool', 'OpaqueRef:pool', {}), row('SR', 'OpaqueRef:sr', { type: 'none' })];
    let written = 0;
    const durable = {
      ...memoryDisk(),
      load: () => ({ rows, tombstones: [], horizon: 0, generation: 1 }),
      write: async (groups: readonly { readonly puts: readonly unknown[] }[]) => {
        written += groups.flatMap(({ puts }) => puts).length;
      },
    };
    const { store, replica } = openStore({ classes, durable, log: silentLog, derive: deriveRows(catalog) });
    const sr = () => store.committed.require('SR', 'OpaqueRef:sr' as Ref<'SR'>).allowed_operations;
    expect(sr()).toEqual([]);
    await derive({ catalog, store });
    expect(sr()).toContain('forget');
    expect(written).toBe(0);
    await replica.lead(1);
    const seen = changesSince(store, 1, () => true);
    expect(seen?.map(({ cls }) => cls)).toContain('SR');
    await replica.close();
  },
);
