import type { Ref } from '../../src/model/types.ts';
import { destruct } from '../../src/objects/construct.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import type { Tx, View } from '../../src/store/view.ts';

// A copy that is being written looks like any other disk. Its row is made by another host, perhaps, so that
// it is told by a mark that only a note of this host knows, and that is there from its first moment.

const operation = 'VDI.copy';
const key = 'xenact:unfinished';

const withMark = (view: View, mark: string): readonly Ref<'VDI'>[] =>
  [...view.all('VDI')].flatMap(([ref, { other_config }]) => (other_config.get(key) === mark ? [ref] : []));

export interface Unfinished {
  /** For `other_config`. */
  readonly mark: readonly [string, string];
  /** The disk is as any other from here on. */
  end(tx: Tx, vdi: Ref<'VDI'>): void;
}

/** Before the disk is made. */
export const beginUnfinished = async (working: Working<'VDI'>): Promise<Unfinished> => {
  const { self, task, services } = working;
  const { host } = services;
  const ref = newRef<'xenact_step'>(services);
  const mark = services.random.uuid();
  const endNote = (tx: Tx): void => {
    if (withMark(tx, mark).length === 0 && tx.get('xenact_step', ref) !== undefined)
      tx.delete('xenact_step', ref);
  };
  // One that could not be destroyed stays noted, for the next start.
  working.undo(() => working.commit(endNote));
  await working.commit((tx) =>
    tx.create('xenact_step', ref, { operation, self, task, from: host, to: host, step: mark }),
  );
  return {
    mark: [key, mark],
    end: (tx, vdi) => {
      const { other_config } = tx.require('VDI', vdi);
      tx.patch('VDI', vdi, { other_config: new Map([...other_config].filter(([name]) => name !== key)) });
      endNote(tx);
    },
  };
};

/** Asked when a host starts: copies that it was writing are destroyed. One that stays is tried next time. */
export const destroyUnfinished = async ({
  invoker,
  services,
}: {
  readonly invoker: Pick<Invoker, 'call'>;
  readonly services: Services;
}): Promise<void> => {
  const { store, host, log } = services;
  for (const [ref, step] of [...store.latest.all('xenact_step')]) {
    if (step.operation !== operation || step.from !== host) continue;
    try {
      for (const vdi of withMark(store.latest, step.step)) await destruct(invoker, 'VDI', vdi);
      await store.commit((tx) => tx.delete('xenact_step', ref));
    } catch (error) {
      log.warn({ error, vdi: step.self }, 'A copy of a disk that was cut off could not be destroyed');
    }
  }
};
