import type { Handler, Working } from '../../src/objects/implement.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { Fault } from '../../src/std/fault.ts';
import { guestKeys } from './metadata.ts';

// Entries for the guest: kept in the row, from where a start takes them, and given to a guest that runs.

type Data = ReadonlyMap<string, string>;

/** The row first. What the guest is given is the row as it is then, so that of two changes none is lost. */
const changed = async (
  working: Working<'VM'>,
  method: string,
  change: (old: Data) => Data,
): Promise<void> => {
  const { self, services, commit } = working;
  await commit((tx) => tx.patch('VM', self, { xenstore_data: change(tx.require('VM', self).xenstore_data) }));
  const { power_state, uuid, xenstore_data } = working.record;
  if (power_state !== 'Running' && power_state !== 'Paused') return;
  const how = xenopsWork(working, method);
  await asked(method, services.hypervisor.setXsdata(uuid, guestKeys(xenstore_data), how));
};

const set_xenstore_data: Handler<any, any, any> = {
  offline: true,
  work: (working: Working<'VM'>, { value }: { readonly value: Data }) =>
    changed(working, 'VM.set_xenstore_data', () => value),
};

const add_to_xenstore_data: Handler<any, any, any> = {
  offline: true,
  work: (working: Working<'VM'>, { key, value }: { readonly key: string; readonly value: string }) =>
    changed(working, 'VM.add_to_xenstore_data', (old) => {
      if (old.has(key)) throw new Fault('MAP_DUPLICATE_KEY', ['VM', 'xenstore_data', working.self, key]);
      return new Map([...old, [key, value]]);
    }),
};

const remove_from_xenstore_data: Handler<any, any, any> = {
  offline: true,
  work: (working: Working<'VM'>, { key }: { readonly key: string }) =>
    changed(
      working,
      'VM.remove_from_xenstore_data',
      (old) => new Map([...old].filter(([one]) => one !== key)),
    ),
};

export const xenstoreData = { set_xenstore_data, add_to_xenstore_data, remove_from_xenstore_data };
