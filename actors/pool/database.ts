import type { Ref } from '../../src/model/types.ts';
import type { Client } from '../../src/objects/client.ts';
import type { ActionHandler } from '../../src/objects/implement.ts';
import { stateDump } from '../../src/rules/state-db/dump.ts';
import { stateText } from '../../src/rules/state-db/text.ts';
import { sleep } from '../../src/std/clock.ts';
import { DecodeFailure } from '../../src/std/decode-failure.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { onPool } from './handlers.ts';

/** Of the answer, between two turns of others. */
const pieceBytes = 65_536;

/** The whole database as it is now, for other programs of the XenAPI and for backups. */
const dump: ActionHandler<'pool', object> = {
  on: onPool,
  stream: async ({ services, signal }, _, client) => {
    const sink = client.answer({ type: 'application/octet-stream', name: 'state.db' });
    let pieces: string[] = [];
    let length = 0;
    const send = async (): Promise<void> => {
      await sink.write(Buffer.from(pieces.join('')));
      pieces = [];
      length = 0;
      await sleep(services.clock, 0);
      signal.throwIfAborted();
    };
    for (const piece of stateDump(services.store)) {
      pieces.push(piece);
      length += piece.length;
      if (length >= pieceBytes) await send();
    }
    await send();
  },
};

interface Wish {
  readonly dry_run: boolean;
}

/** Time for the answer to reach the client before the program that gives it goes. */
const answerMs = 200;

/** Nothing may run here, or elsewhere, that the database to come does not know of. */
const refusal = (view: View, _: Ref<'pool'>, { dry_run }: Wish): Fault | undefined => {
  if (dry_run) return undefined;
  const hosts = [...view.all('host')];
  if (hosts.length > 1) {
    const why =
      'A database is taken by a pool of one host: pool.eject the others first, and let them join again';
    return new Fault('OPERATION_NOT_ALLOWED', [why]);
  }
  const guests = [...view.all('VM')].some(([, vm]) => !vm.is_control_domain && vm.domid > 0n);
  return guests ? new Fault('HOST_HAS_RESIDENT_VMS', [view.only('pool')[1].master]) : undefined;
};

/** Makes the pool what a database says: this host starts again with it. */
const restore: ActionHandler<'pool', Wish> = {
  on: onPool,
  unless: refusal,
  stream: async ({ services, signal }, { dry_run }, client) => {
    const { replacing, keepNext, clock, restart } = services;
    const next = await replacing(await textOf(client));
    signal.throwIfAborted();
    if (dry_run) return;
    if (keepNext === undefined)
      throw new Fault('OPERATION_NOT_ALLOWED', [
        'This host keeps nothing, so it cannot begin with a database',
      ]);
    await keepNext(next);
    clock.after(answerMs, restart);
  },
};

const textOf = async (client: Client): Promise<string> => {
  try {
    return await stateText(client.body());
  } catch (error) {
    if (!(error instanceof DecodeFailure)) throw error;
    throw new Fault('INVALID_VALUE', ['database', error.message]);
  }
};

export const database = { get_pool_xml_db_sync: dump, put_pool_xml_db_sync: restore };
