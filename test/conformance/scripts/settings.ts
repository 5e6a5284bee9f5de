import { arePinned, type MemoryConstraints } from '../../../actors/vm/memory-constraints.ts';
import { vmReports } from '../../../actors/vm/reports.ts';
import { nullRef, type Ref } from '../../../src/model/types.ts';
import type { Value } from '../../../src/std/value.ts';
import type { Tx } from '../../../src/store/view.ts';
import type { Case } from '../cases.ts';
import { against, mapOf, skip } from '../subject.ts';
import { inLab, type Lab, scripts } from './lab.ts';

// What settings of VMs come to when clients change them, or when the guest is started with them.

type Fields = Readonly<Record<string, any>>;

/** Without an error a call may answer nothing at all. */
const ok = (answer: any): unknown => (answer?.error === undefined ? { ok: true } : answer);

const restrict = (lab: Lab, restrictions: ReadonlyMap<string, string>): Promise<void> =>
  lab.rows((tx) => tx.patch('pool', tx.only('pool')[0], { restrictions }));

const limits = (from: Fields): MemoryConstraints => ({
  static_min: BigInt(from['static_min']),
  dynamic_min: BigInt(from['dynamic_min']),
  target: BigInt(from['target']),
  dynamic_max: BigInt(from['dynamic_max']),
  static_max: BigInt(from['static_max']),
});

const limitNames = ['static_min', 'static_max', 'dynamic_min', 'dynamic_max'] as const;

const setLimits = (lab: Lab, vm: Ref<'VM'>, given: Fields): Promise<any> =>
  lab.ask('VM.set_memory_limits', vm, ...limitNames.map((name) => BigInt(given[name])));

/** Whether a VM takes these limits, of which the target is where the dynamic range begins. */
const taken = async (lab: Lab, given: Fields, restrictions: ReadonlyMap<string, string>) => {
  const vm = await lab.newVm();
  await restrict(lab, restrictions);
  const answer = await setLimits(lab, vm, given);
  await restrict(lab, new Map());
  const refused = ['MEMORY_CONSTRAINT_VIOLATION_ORDER', 'MEMORY_CONSTRAINT_VIOLATION_MAXPIN'];
  if (answer?.error === undefined) return { value: true };
  return refused.includes(answer.error[0]) ? { value: false } : answer;
};

const noBalloon = new Map([['restrict_dmc', 'true']]);

/** What keeps the limits of a guest together, by the words of the cases, as the rows say it. */
const pinning: Readonly<Record<string, (tx: Tx, vm: Ref<'VM'>) => void>> = {
  'VM.is_control_domain': (tx, vm) => tx.patch('VM', vm, { is_control_domain: true, power_state: 'Running' }),
  'feature DMC restricted': (tx) => tx.patch('pool', tx.only('pool')[0], { restrictions: noBalloon }),
  'VM_metrics.nested_virt': (tx, vm) => {
    const metrics = `${vm}-metrics` as Ref<'VM_metrics'>;
    tx.create('VM_metrics', metrics, { uuid: metrics, nested_virt: true });
    tx.patch('VM', vm, { metrics });
  },
};

const checkLimits = async (lab: Lab, { given, when }: Case): Promise<unknown> => {
  const vm = await lab.newVm();
  const because: string | undefined = given['because'];
  if (because !== undefined) {
    const pin = pinning[because] ?? skip(`"${because}" is not understood`);
    await lab.rows((tx) => pin(tx, vm));
  }
  const answer = await setLimits(lab, vm, when);
  await restrict(lab, new Map());
  return ok(answer);
};

/** All memory that a VM could ever have, all the time. */
const allOfIt = async (lab: Lab, { given }: Case): Promise<unknown> => {
  const vm = await lab.newVm();
  const set = await setLimits(lab, vm, given);
  if (set?.error !== undefined) return set;
  const all = await lab.ask('VM.set_memory', vm, BigInt(given['static_max']));
  if (all?.error !== undefined) return all;
  const names = ['static_min', 'dynamic_min', 'target', 'dynamic_max', 'static_max'];
  const found = names.map(async (name) => [name, Number(await lab.ask(`VM.get_memory_${name}`, vm))]);
  return Object.fromEntries(await Promise.all(found));
};

/** A switch of a platform, such as one that the pool may forbid to turn on. */
const switched = { key: 'nested-virt', restriction: 'restrict_nested_virt' };

/** A guest that is started with a platform. */
const started = async (lab: Lab, platform: ReadonlyMap<string, string>, fields: object = {}) => {
  const vm = await lab.newVm({ domain_type: 'hvm', HVM_boot_policy: 'BIOS order', ...fields });
  const set = await lab.ask('VM.set_platform', vm, platform as Value);
  const answer = set?.error === undefined ? await lab.ask('VM.start', vm, true, false) : set;
  return { vm, answer };
};

const aSwitch = async (lab: Lab, platform: Fields, restrictions: Fields) => {
  const named = new Map(Object.values<string>(platform).map((value) => [switched.key, value]));
  await restrict(lab, mapOf(restrictions));
  const { answer } = await started(lab, named);
  await restrict(lab, new Map());
  return answer;
};

const isTrue = async (lab: Lab, { given, when }: Case): Promise<unknown> => {
  if (when['default'] !== false) skip('this switch is off where nothing is said');
  const answer = await aSwitch(lab, given['platform'], { [switched.restriction]: 'true' });
  return { value: answer?.error?.[0] === 'LICENCE_RESTRICTION' };
};

const isValid = async (lab: Lab, { given }: Case): Promise<unknown> => {
  const answer = await aSwitch(lab, given['platform'], {});
  return { value: answer?.error?.[0] !== 'INVALID_VALUE' };
};

const restricted = async (lab: Lab, { given, when }: Case): Promise<unknown> => {
  await restrict(lab, mapOf(given['pool.restrictions']));
  const { answer } = await started(lab, mapOf(when['platform']));
  await restrict(lab, new Map());
  return ok(answer);
};

/** The platform that the daemon is told, but for what it is told of the processor. */
const sanity = async (lab: Lab, { given, when, then }: Case): Promise<unknown> => {
  const hvm = given['domain_type'] === 'hvm';
  const filter = given['filter_out_unknowns'] ? [['platform_filter', 'true'] as const] : [];
  await restrict(lab, new Map(filter));
  // Where a case says nothing of processors, a guest has one all the same.
  const count = (name: string): bigint => BigInt(Math.max(1, given[name]));
  const { vm, answer } = await started(lab, new Map(when['platform (pairs)']), {
    ...(hvm ? {} : { domain_type: 'pv', HVM_boot_policy: '', PV_bootloader: 'pygrub' }),
    HVM_boot_params: new Map([['firmware', given['firmware'] === 'UEFI' ? 'uefi' : 'bios']]),
    VCPUs_max: count('VCPUs_max'),
    VCPUs_at_startup: count('VCPUs_at_startup'),
  });
  await restrict(lab, new Map());
  const pairs = then['platform (pairs, order as given upstream)'];
  if (answer?.error !== undefined) return against(answer, then);
  const { featureset: _, ...told } = Object.fromEntries((await lab.told(vm)).vm.platformdata);
  return against(told, Object.fromEntries(pairs ?? []));
};

const biosStrings = async (lab: Lab, { when }: Case): Promise<unknown> => {
  const vm = await lab.newVm({ bios_strings: new Map() });
  const answer = await lab.ask('VM.set_bios_strings', vm, mapOf(when['value']));
  if (answer?.error !== undefined) return answer;
  return { 'VM.bios_strings': Object.fromEntries(await lab.ask('VM.get_bios_strings', vm)) };
};

const secureBootMark = async (lab: Lab, { given, when }: Case): Promise<unknown> => {
  const field = 'secureboot_certificates_state';
  const vm = await lab.newVm({ [field]: given[`VM.${field}`] });
  const answer = await lab.ask(when['call'], vm, when['mark']);
  return answer?.error === undefined ? { [`VM.${field}`]: await lab.ask(`VM.get_${field}`, vm) } : answer;
};

export const memoryConstraints = inLab(
  scripts({
    are_valid: (lab, { given }) => taken(lab, given, new Map()),
    are_valid_and_pinned_at_static_max: (lab, { given }) => taken(lab, given, noBalloon),
    reset_to_safe_defaults: allOfIt,
    'VM.set_memory_limits': checkLimits,
    assert_valid_for_current_context: checkLimits,
    // Nothing that a client asks tells this from other limits that are in order.
    are_pinned: async (_, { given }) => ({ value: arePinned(limits(given)) }),
  }),
);

export const platformdata = inLab(
  scripts({
    is_true: isTrue,
    is_valid: isValid,
    check_restricted_flags: restricted,
    sanity_check: sanity,
  }),
);

export const miscSetters = inLab(
  scripts({
    'VM.set_bios_strings': biosStrings,
    'VM.update_secureboot_certificates_on_boot': secureBootMark,
  }),
);

/** What a daemon tells of a guest's agent, and what rows say of it then. */
export const guestNetworks = inLab(async (lab, { given, then }) => {
  const present: readonly string[] = given['xenstore keys present under the guest'];
  const vm = await lab.newVm();
  await lab.ask('VM.start', vm, false, false);
  const { guests, services, invoker } = lab.sandbox.runningAt(await lab.ask('VM.get_resident_on', vm));
  const uuid = await lab.ask('VM.get_uuid', vm);
  const state = await guests.stat(uuid);
  const guest_agent = new Map(present.map((path) => [path, path]));
  const reports = vmReports({ invoker, services, store: services.store, log: services.log });
  await reports.onVm(uuid, state && { ...state, guest_agent });
  const metrics = await lab.ask('VM.get_guest_metrics', vm);
  const found = metrics === nullRef ? new Map() : await lab.ask('VM_guest_metrics.get_networks', metrics);
  await lab.ask('VM.hard_shutdown', vm);
  const read: readonly (readonly [path: string, key: string])[] =
    then['(xenstore path read, networks key) in this order'];
  // The cases also list paths that are looked at in vain: what is not there is in no map.
  const expected = read.filter(([path]) => present.includes(path)).map(([path, key]) => [key, path]);
  return against(Object.fromEntries(found), Object.fromEntries(expected));
});
