import { bondMac } from '../../../actors/bond/mac.ts';
import type { Ref } from '../../../src/model/types.ts';
import type { View } from '../../../src/store/view.ts';
import type { Case } from '../cases.ts';
import { type Adapter, against, mapOf, skip } from '../subject.ts';
import { withRefs } from '../vm-rows.ts';
import { admitting, argumentsFor, asked, compared, messagesFor, putRows } from './admitting.ts';
import { live, putVm } from './live.ts';

const appliance = 'OpaqueRef:appliance' as Ref<'VM_appliance'>;

const applianceOperation = admitting(async (at, { given, when, then }) => {
  const states: readonly string[] = given['VM power states'] ?? ['Halted', 'Running'];
  const operation: string = when['operation'];
  const rows = {
    VM: Object.fromEntries(states.map((power_state, i) => [`OpaqueRef:vm${i}`, { power_state, appliance }])),
    VM_appliance: { [appliance]: { current_operations: mapOf(given['VM_appliance.current_operations']) } },
  };
  await putRows(at, rows);
  const listed = 'VM_appliance.get_allowed_operations';
  const found: Record<string, unknown> = {
    [listed]: { allowed: ((await at.tried(listed, appliance)) as string[]).includes(operation) },
  };
  for (const message of messagesFor(at, 'VM_appliance', operation)) {
    found[message.method] = await asked(at, message.method, argumentsFor(rows, message));
  }
  return compared(found, (name) => (name === listed ? { allowed: then['allowed'] } : withRefs(then)));
});

/** The arguments of a call about a map: all of it, one pair, one key, or a value. */
const argumentsOf = (when: Case['when']): readonly any[] =>
  ['key', 'value'].flatMap((name) => {
    const value = when[name];
    if (value === undefined) return [];
    return [typeof value === 'string' || Array.isArray(value) ? value : mapOf(value)];
  });

const nvram: Adapter = live(async (here, { given, when, then }) => {
  await here.rows((tx) => {
    putVm(tx, '<vm>', { power_state: given['VM.power_state'] ?? 'Halted', NVRAM: mapOf(given['VM.NVRAM']) });
  });
  const answer: any = await here.tried(when['call'], '<vm>', ...argumentsOf(when));
  const { NVRAM } = here.host.world.store.committed.require('VM', '<vm>' as Ref<'VM'>);
  const error = answer?.error === undefined ? {} : { error: answer.error };
  const after = then['VM.NVRAM'] === undefined ? {} : { 'VM.NVRAM': Object.fromEntries(NVRAM) };
  return against({ ...error, ...after }, then);
});

/** Groups that a call puts its VMs in: the value, or what the call itself names in brackets. */
const groupsOf = (when: Case['when']): readonly string[] =>
  when['value'] ?? [...String(when['call']).matchAll(/<[^<>]+>/g)].map(([group]) => group);

const grouping: Adapter = live(async (here, { given, when, then }) => {
  const count: number = given['VMs'] ?? 1;
  const vms = count === 1 ? ['<vm>'] : Array.from({ length: count }, (_, i) => `<vm${i + 1}>`);
  const groups = groupsOf(when);
  await here.rows((tx) => {
    for (const group of groups) tx.create('VM_group', group as Ref<'VM_group'>, { uuid: group });
    for (const vm of vms) putVm(tx, vm);
  });
  const view = (): View => here.host.world.store.committed;
  for (const vm of vms) {
    const answer: any = await here.tried('VM.set_groups', vm, [...groups]);
    if (answer?.error !== undefined) return against(answer, then);
  }
  const found: Readonly<Record<string, () => unknown>> = {
    'VM_group.VMs (as a set)': () =>
      groups.flatMap((group) => view().require('VM_group', group as Ref<'VM_group'>).VMs).toSorted(),
    'VM.groups': () => view().require('VM', vms[0] as Ref<'VM'>).groups,
  };
  return against(
    Object.fromEntries(Object.keys(then).map((key) => [key, found[key]?.() ?? `nothing is known of ${key}`])),
    then,
  );
});

/** A VM with nothing but what the case says it has. */
const agility: Adapter = live(async (here, { given, then }) => {
  const strange = Object.keys(given).find((key) => key !== 'VM' && key !== 'VM.VGPUs');
  if (strange !== undefined) skip(`no script gives a VM ${strange}`);
  if (given['VM'] !== undefined && !String(given['VM']).startsWith('no ')) {
    skip(`"${given['VM']}" is not understood`);
  }
  const cards: number = given['VM.VGPUs'] ?? 0;
  await here.rows((tx) => {
    const VM = putVm(tx, '<vm>');
    for (let i = 0; i < cards; i += 1) {
      tx.create('VGPU', `vgpu${i}` as Ref<'VGPU'>, { uuid: `vgpu${i}`, VM });
    }
  });
  const answer: any = await here.tried('VM.assert_agile', '<vm>');
  return against(answer?.error === undefined ? { ok: true } : answer, then);
});

/** Kinds of cases by what is called, and the words they are known by. */
const scripts: readonly (readonly [RegExp, Adapter])[] = [
  [/^VM\.set_groups\b/, grouping],
  [/^VM\.[a-z_]+_NVRAM(_EFI_variables)?$/, nvram],
  [/^VM\.assert_agile$/, agility],
  [/^infer_vif_map$/, () => skip('maps of networks belong to moves between pools, which are not built')],
  [/^choose the ranking for /, () => skip('rankings have no names here')],
];

const isOfAppliance = ({ given, when }: Case): boolean =>
  when['operation'] !== undefined &&
  (given['VM power states'] !== undefined || given['VM_appliance.current_operations'] !== undefined);

/** Found by what is asked for and what is there. */
export const vmAndPool: Adapter = Object.assign(
  (one: Case) => {
    if (isOfAppliance(one)) return applianceOperation(one);
    if (one.given['restriction'] !== undefined) return skip('no licence limits what a pool may do');
    const call = String(one.when['call'] ?? one.when['do']);
    const [, script] = scripts.find(([form]) => form.test(call)) ?? [];
    return script === undefined ? skip(`no script is written for "${call}"`) : script(one);
  },
  { close: async () => applianceOperation.close?.() },
);

export const bondMacs: Adapter = ({ given }) => ({
  'bond master PIF MAC': bondMac(
    { auto_update_mac: given['Bond.auto_update_mac'] ?? skip('it does not say whether the address follows') },
    given['bond master PIF MAC'],
    given['primary slave MAC'],
  ),
});
