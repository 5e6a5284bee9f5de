import type { Ref } from '../../src/model/types.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { note, plugAtStartKey } from './plug.ts';

interface Starting {
  readonly invoker: Invoker;
  readonly services: Services;
}

/**
 * Connects this host to the repositories that it was connected to, and looks what became of their
 * disks. One that cannot be reached is shown as unplugged, and tried again at the next start.
 */
export const plugAtStart = async (starting: Starting): Promise<void> => {
  const { store, host } = starting.services;
  const wanted = [...store.latest.all('PBD')].filter(
    ([, pbd]) => pbd.host === host && (pbd.currently_attached || pbd.other_config.has(plugAtStartKey)),
  );
  await Promise.all(wanted.map(([ref, { SR }]) => plugOne(starting, ref, SR)));
};

const plugOne = async ({ invoker, services }: Starting, pbd: Ref<'PBD'>, sr: Ref<'SR'>): Promise<void> => {
  try {
    await invoker.call('PBD.plug', pbd, {});
  } catch (error) {
    services.log.error(
      { error, pbd, sr },
      'A repository cannot be reached; it is tried again at the next start',
    );
    await invoker.decide('PBD', pbd, (tx) => {
      note(tx, pbd, false);
      const { other_config } = tx.require('PBD', pbd);
      tx.patch('PBD', pbd, { other_config: new Map([...other_config, [plugAtStartKey, 'true']]) });
    });
    return;
  }
  await invoker.call('SR.scan', sr, {}).catch((error: unknown) => {
    services.log.warn({ error, sr }, 'A repository could not be scanned');
  });
};
