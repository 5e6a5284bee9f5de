import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { classes } from '../../actors/index.ts';
import { nodeClock } from '../../src/drivers/node/clock.ts';
import { type Format, fragmentsOf, type Row, recordsEncoding } from '../../src/edge/encoding.ts';
import type { Ref } from '../../src/model/types.ts';
import { silentLog } from '../../src/std/log.ts';
import { lmdbDurable } from '../../src/store/lmdb.ts';
import { openStore, type Store } from '../../src/store/store.ts';
import { verdict } from './figures.ts';
import { sized } from './sizes.ts';

const vmCount = sized(1_000, 20);

/** How many records are encoded anew for a list after one of a thousand VMs has changed. */
export const fragments = async (print: (line: string) => void): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-fragments-'));
  const { store, replica } = openStore({ classes, durable: lmdbDurable(folder), log: silentLog });
  const vm = (i: number): Ref<'VM'> => `OpaqueRef:${i}` as Ref<'VM'>;
  await store.commit((tx) => {
    for (let i = 0; i < vmCount; i++) tx.create('VM', vm(i), { uuid: String(i) });
  });
  const made = fragmentsOf(classes);
  const list = (format: Format) => recordsEncoding('VM', rowsOf(store), made, nodeClock)(format);
  print(`Records encoded for VM.get_all_records of ${vmCount} VMs after a change of one`);
  for (const format of ['xml', 'json'] as const) {
    await list(format);
    await store.commit((tx) => tx.patch('VM', vm(7), { name_label: format }));
    const missing = rowsOf(store).filter(([, version]) => version[format] === undefined).length;
    print(verdict({ name: `encoded anew, ${format}`, values: [missing], digits: 0, atMost: 1 }));
    await list(format);
  }
  await replica.close();
  await rm(folder, { recursive: true, force: true });
};

const rowsOf = (store: Store): readonly Row[] =>
  [...(store.tables.get('VM')?.entries.values() ?? [])].flatMap(({ ref, committed }): readonly Row[] =>
    committed === undefined ? [] : [[ref, committed]],
  );
