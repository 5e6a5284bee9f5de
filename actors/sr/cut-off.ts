import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { withPasswords } from '../../src/rules/device-config.ts';
import type { Tx, View } from '../../src/store/view.ts';
import { forgetRows } from './end.ts';
import { findRepository } from './find.ts';

// Repositories that were being made as their host ended.

const operation = 'SR.create';

/** A note for the start that follows an end in the middle. */
export const beginCreate = (working: Working<'SR'>, sr: Ref<'SR'>) => {
  const { services, task } = working;
  const ref = newRef<'xenact_step'>(services);
  const { host } = services;
  const end = (tx: Tx): void => {
    if (tx.get('xenact_step', ref) !== undefined) tx.delete('xenact_step', ref);
  };
  working.undo(() => working.commit(end));
  return {
    note: (tx: Tx) =>
      tx.create('xenact_step', ref, { operation, self: sr, task, from: host, to: host, step: '' }),
    end,
  };
};

/**
 * Asked when a host starts: what it was making is taken back. Where nobody can say what is there the rows
 * stay, unplugged, for somebody to plug, destroy or forget.
 */
export const undoCreates = async ({ store, host, storage, log }: Services): Promise<void> => {
  for (const [ref, step] of [...store.latest.all('xenact_step')]) {
    if (step.operation !== operation || step.from !== host) continue;
    const sr = step.self as Ref<'SR'>;
    const isBack = await takeBack({ store, host, storage }, sr).catch((error: unknown) => {
      log.warn(
        { error, sr },
        'A repository whose making was cut off could not be taken back; it stays unplugged',
      );
      return false;
    });
    await store.commit((tx) => {
      tx.delete('xenact_step', ref);
      if (isBack && tx.get('SR', sr) !== undefined) forgetRows(tx, sr);
    });
  }
};

const takeBack = async (
  { store, host, storage }: Pick<Services, 'store' | 'host' | 'storage'>,
  sr: Ref<'SR'>,
): Promise<boolean> => {
  const { latest: view } = store;
  const row = view.get('SR', sr);
  const pbd = row === undefined ? undefined : ownConnection(view, row, host);
  if (row === undefined || pbd === undefined) return true;
  const call = { debugInfo: operation };
  await withPasswords(view, pbd.device_config, async (config) => {
    const place = await findRepository(storage, row, config);
    if (place === undefined) return;
    await storage.attachSr(row.type, row.uuid, place, call);
    await storage.destroySr(row.uuid, call);
  });
  return true;
};

const ownConnection = (
  view: View,
  { PBDs }: RecordNamed<'SR'>,
  host: Ref<'host'>,
): RecordNamed<'PBD'> | undefined =>
  PBDs.flatMap((ref) => view.get('PBD', ref) ?? []).find((pbd) => pbd.host === host);
