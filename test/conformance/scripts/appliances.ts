import { behaviours } from '../../../actors/behaviours.ts';
import vm from '../../../actors/vm/behaviour.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { Behaviour, Working } from '../../../src/objects/implement.ts';
import { Fault } from '../../../src/std/fault.ts';
import type { Case } from '../cases.ts';
import { type Adapter, against, skip } from '../subject.ts';
import { live, putVm } from './live.ts';

/** Long enough for everything that begins at the same time to have begun. */
const turns = 100;

const someTime = async (): Promise<void> => {
  for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** VMs whose power operations tell of themselves, each group of those that ran at the same time. */
const watched = (fails: readonly string[]) => {
  const groups: string[][] = [];
  let active = 0;
  const work = async ({ self }: Working<'VM'>): Promise<void> => {
    if (active === 0) groups.push([]);
    active += 1;
    groups.at(-1)?.push(self);
    await someTime();
    active -= 1;
    if (fails.includes(self)) throw new Fault('VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT', []);
  };
  const operations = ['start', 'clean_shutdown', 'hard_shutdown', 'shutdown'];
  const told = Object.fromEntries(operations.map((operation) => [operation, { operation, work }]));
  const behaviour = { ...vm, handlers: { ...vm.handlers, ...told } };
  return { groups, behaviour: behaviour as Behaviour<any> };
};

const appliance = '<appliance>' as Ref<'VM_appliance'>;
const agent = '<agent>' as Ref<'VM_guest_metrics'>;
const said = 'groups of parallel VM operations, one after the other';

const sequence: Adapter = (one) => {
  const { groups, behaviour } = watched(one.given['operation fails on'] ?? []);
  const all = behaviours.map((other) => (other.cls.name === 'VM' ? behaviour : other));
  const script = live(
    async (here, { given, when, then }: Case) => {
      await here.rows((tx) => {
        tx.create('VM_appliance', appliance, { uuid: 'appliance' });
        // Guests that can be asked to shut down.
        const other = new Map([['feature-shutdown', '1']]);
        tx.create('VM_guest_metrics', agent, { uuid: 'agent', other });
        for (const [name, { order, power_state }] of Object.entries<any>(given['VMs'])) {
          const isThere = power_state === 'Running' || power_state === 'Paused';
          const place = isThere ? { resident_on: here.host.world.host, guest_metrics: agent } : {};
          putVm(tx, name, { order: BigInt(order), power_state, appliance, ...place });
        }
      });
      const args = when['paused'] === undefined ? [] : [when['paused']];
      const answer: any = await here.tried(when['call'], appliance, ...args);
      const [code, name, ...failed] = answer?.error ?? [];
      const error = code && { error: [code, name, ...failed.map((vm: string) => `<${vm}>`).toSorted()] };
      return against({ [said]: groups.map((group) => group.toSorted()), ...error }, then);
    },
    { behaviours: all } as object,
  );
  return script(one);
};

const setter: Adapter = live(async (here, { given, when, then }) => {
  const call = String(when['call']);
  await here.rows((tx) => {
    tx.create('VM_appliance', appliance, { uuid: 'appliance' });
    putVm(tx, '<vm>', given['VM']);
  });
  const value = call === 'VM.set_appliance' ? appliance : BigInt(when['value']);
  const answer: any = await here.tried(call, '<vm>', value);
  if (answer?.error !== undefined) return against(answer, then);
  const field = call.replace('VM.set_', '');
  const row: any = here.host.world.store.committed.require('VM', '<vm>' as Ref<'VM'>);
  return against({ [`VM.${field}`]: Number(row[field]) }, then);
});

/** Sequences of appliances, and what VMs say of their place in one. */
export const applianceOrder: Adapter = (one) => {
  if (one.given['VMs'] !== undefined) return sequence(one);
  return String(one.when['call']).startsWith('VM.set_') ? setter(one) : skip('no script is written for it');
};
