// Goal: what becomes of every field of a VM, its devices and its figures when it is made, copied, snapshot or put
// back is what the tables say.
// Method: rows in which every field has a value of its own; then the operation through its message, and each cell
// is compared. What a cell calls `made` is said here, field by field.

import { afterEach, describe, expect, test } from 'vitest';
import { PVS_proxy } from '../../actors/pvs_proxy/class.ts';
import { VBD } from '../../actors/vbd/class.ts';
import { VGPU } from '../../actors/vgpu/class.ts';
import { VIF } from '../../actors/vif/class.ts';
import { VM } from '../../actors/vm/class.ts';
import { VM_guest_metrics } from '../../actors/vm_guest_metrics/class.ts';
import { VM_metrics } from '../../actors/vm_metrics/class.ts';
import { VTPM } from '../../actors/vtpm/class.ts';
import type { AnyClass, ClassName, RecordNamed } from '../../src/model/class.ts';
import { constructorFields } from '../../src/model/derive.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import {
  type DeviceOrigin,
  pvsProxyFates,
  vbdFates,
  vgpuFates,
  vifFates,
  vtpmFates,
} from '../../src/rules/fates/devices.ts';
import { guestMetricsFates, vmMetricsFates } from '../../src/rules/fates/metrics.ts';
import { type VmOrigin, vmFates } from '../../src/rules/fates/vm.ts';
import type { AnyRecord } from '../../src/store/schema.ts';
import type { Tx } from '../../src/store/view.ts';
import { compare, fresh, is, type Made } from './compared-fates.ts';
import { distinctRow } from './distinct.ts';
import { type Bench, bench, fakeDisks, fakeHypervisor, vmFields } from './vm-bench.ts';

type Vm = RecordNamed<'VM'>;

let made: Bench | undefined;
afterEach(async () => {
  await made?.close();
});

const row = (at: Bench, cls: string, ref: unknown): AnyRecord =>
  at.store.committed.require(cls as ClassName, ref as Ref<any>) as unknown as AnyRecord;
const vmRow = (at: Bench, vm: Ref<'VM'>): Vm => at.store.committed.require('VM', vm);

/** Fields that decide whether the operation is admitted at all, or belong to a guest that is there. */
const notFree = {
  power_state: 'Halted',
  current_operations: new Map(),
  is_control_domain: false,
  imported_by: nullRef,
  departure: new Map(),
  resident_on: 'OpaqueRef:host',
  scheduled_to_be_resident_on: 'OpaqueRef:host',
} as const;
const noSnapshot = { is_a_template: false, is_a_snapshot: false, is_default_template: false } as const;

const patch = (tx: Tx, cls: string, ref: unknown, fields: AnyRecord): void =>
  tx.patch(cls as ClassName, ref as Ref<any>, fields as never);

/** Every field of the VM and of what hangs on it gets a value of its own. */
const fill = (at: Bench, vm: Ref<'VM'>, round: number, more: AnyRecord): Promise<void> =>
  at.store.commit((tx) => {
    const { metrics, guest_metrics, VBDs, VIFs, uuid } = tx.require('VM', vm);
    const distinct = distinctRow(VM, tx, round);
    const kept = {
      uuid,
      metrics,
      other_config: new Map([
        ['mac_seed', `seed ${round}`],
        ['note', `of round ${round}`],
      ]),
    };
    patch(tx, 'VM', vm, { ...distinct, ...kept, ...notFree, ...more });
    patch(tx, 'VM_metrics', metrics, { ...distinctRow(VM_metrics, tx, round), uuid: `metrics ${round}` });
    const agent = (
      guest_metrics === nullRef ? `OpaqueRef:agent-${round}` : guest_metrics
    ) as Ref<'VM_guest_metrics'>;
    if (tx.get('VM_guest_metrics', agent) === undefined) tx.create('VM_guest_metrics', agent, {});
    patch(tx, 'VM_guest_metrics', agent, distinctRow(VM_guest_metrics, tx, round));
    patch(tx, 'VM', vm, { guest_metrics: agent });
    const own = (cls: AnyClass): AnyRecord => ({
      ...distinctRow(cls, tx, round),
      VM: vm,
      current_operations: new Map(),
      currently_attached: false,
      uuid: `${cls.name} ${round}`,
    });
    for (const ref of VBDs) {
      const { VDI, type, empty } = tx.require('VBD', ref);
      patch(tx, 'VBD', ref, { ...own(VBD), VDI, type, empty, uuid: `${ref} ${round}` });
    }
    for (const ref of VIFs) patch(tx, 'VIF', ref, { ...own(VIF), device: '0', reserved_pci: nullRef });
  });

/** Devices that no message makes yet. */
const addDevices = (at: Bench, vm: Ref<'VM'>): Promise<void> =>
  at.store.commit((tx) => {
    const [VIF_] = tx.require('VM', vm).VIFs;
    const fields = (cls: AnyClass, more: AnyRecord) => {
      const { current_operations: _, currently_attached: __, ...distinct } = distinctRow(cls, tx, 7);
      return { ...distinct, ...more } as never;
    };
    tx.create('VGPU', 'OpaqueRef:vgpu' as Ref<'VGPU'>, fields(VGPU, { VM: vm }));
    tx.create('secret', 'OpaqueRef:secret' as Ref<'secret'>, { uuid: 's', value: 'state of the module' });
    tx.create(
      'VTPM',
      'OpaqueRef:vtpm' as Ref<'VTPM'>,
      fields(VTPM, { VM: vm, is_unique: false, contents: 'OpaqueRef:secret' }),
    );
    tx.create('PVS_proxy', 'OpaqueRef:proxy' as Ref<'PVS_proxy'>, fields(PVS_proxy, { VIF: VIF_ }));
  });

const vmMade = (at: Bench, original: AnyRecord, origin: VmOrigin, more: Made): Made => ({
  uuid: fresh(original['uuid']),
  power_state: is('Halted'),
  suspend_VDI: is(nullRef),
  domid: is(-1n),
  metrics: (ref) => {
    expect(ref).not.toBe(original['metrics']);
    if (origin === 'create') return;
    const from = row(at, 'VM_metrics', original['metrics']);
    compare({
      cls: VM_metrics,
      table: vmMetricsFates,
      origin: 'copy',
      original: from,
      result: row(at, 'VM_metrics', ref),
      made: { uuid: fresh(from['uuid']) },
    });
  },
  guest_metrics: (ref) => {
    const from = row(at, 'VM_guest_metrics', original['guest_metrics']);
    compare({
      cls: VM_guest_metrics,
      table: guestMetricsFates,
      origin: 'copy',
      original: from,
      result: row(at, 'VM_guest_metrics', ref),
      made: { uuid: fresh(from['uuid']) },
    });
  },
  generation_id: (value) => {
    expect(value).toMatch(/^-?\d+:-?\d+$/);
    expect(value).not.toBe(original['generation_id']);
  },
  ...more,
});

const compareDevices = (at: Bench, from: Vm, to: Vm, origin: DeviceOrigin): void => {
  const pairs = (field: 'VBDs' | 'VIFs' | 'VGPUs' | 'VTPMs', cls: string) => {
    expect(to[field].length).toBe(from[field].length);
    return from[field].map((ref, i) => [row(at, cls, ref), row(at, cls, to[field][i])] as const);
  };
  const vm = (value: unknown) =>
    expect(at.store.committed.require('VM', value as Ref<'VM'>).uuid).toBe(to.uuid);
  const shared = (original: AnyRecord): Made => ({
    uuid: fresh(original['uuid']),
    VM: vm,
    currently_attached: is(false),
  });
  for (const [original, result] of pairs('VBDs', 'VBD')) {
    const made = {
      ...shared(original),
      VDI: (value: unknown) => {
        if (original['type'] === 'CD') expect(value).toBe(original['VDI']);
        else expect(at.store.committed.require('VDI', value as Ref<'VDI'>).VBDs.length).toBe(1);
      },
      empty: is(original['empty']),
      other_config: is(
        original['type'] === 'Disk'
          ? new Map([...(original['other_config'] as Map<string, string>), ['owner', '']])
          : original['other_config'],
      ),
    };
    compare({ cls: VBD, table: vbdFates, origin, original, result, made });
  }
  for (const [original, result] of pairs('VIFs', 'VIF')) {
    const made = { ...shared(original), MAC: fresh(original['MAC']), MAC_autogenerated: is(true) };
    compare({ cls: VIF, table: vifFates, origin, original, result, made });
  }
  for (const [original, result] of pairs('VGPUs', 'VGPU')) {
    compare({ cls: VGPU, table: vgpuFates, origin, original, result, made: shared(original) });
  }
  for (const [original, result] of pairs('VTPMs', 'VTPM')) {
    const contents = (value: unknown) => {
      expect(value).not.toBe(original['contents']);
      expect(row(at, 'secret', value)['value']).toBe(row(at, 'secret', original['contents'])['value']);
    };
    compare({
      cls: VTPM,
      table: vtpmFates,
      origin,
      original,
      result,
      made: { ...shared(original), contents },
    });
  }
  const proxies = (vif: unknown) =>
    [...at.store.committed.all('PVS_proxy')].filter(([, { VIF }]) => VIF === vif);
  from.VIFs.forEach((vif, i) => {
    for (const [, original] of proxies(vif)) {
      const result = proxies(to.VIFs[i])[0]?.[1] as unknown as AnyRecord;
      const made = { uuid: fresh(original.uuid), VIF: is(to.VIFs[i]) };
      compare({ cls: PVS_proxy, table: pvsProxyFates, origin, original: original as never, result, made });
    }
  });
};

const setUp = async (more: AnyRecord): Promise<readonly [Bench, Ref<'VM'>]> => {
  made = await bench(fakeHypervisor(), { disks: fakeDisks() });
  const vm = await made.newVm({ is_a_template: false });
  await fill(made, vm, 1, more);
  await addDevices(made, vm);
  return [made, vm];
};

const config =
  (original: AnyRecord, more: Made[string] = () => {}) =>
  (value: unknown) => {
    const before = original['other_config'] as Map<string, string>;
    const after = value as Map<string, string>;
    expect([...after.keys()].sort()).toEqual(
      [
        ...new Set([
          ...before.keys(),
          ...(original['is_a_template'] ? ['base_template_name'] : []),
          'mac_seed',
        ]),
      ].sort(),
    );
    more(after.get('mac_seed'));
  };

describe('each field', () => {
  for (const origin of ['clone', 'copy'] as const) {
    test(`of a VM by ${origin} is what the table says`, async () => {
      const [at, vm] = await setUp({ is_a_template: true });
      const original = vmRow(at, vm);
      const args = origin === 'clone' ? ['twin'] : ['twin', nullRef];
      const twin = await at.call(`VM.${origin}`, vm, ...args);
      const seed = original.other_config.get('mac_seed');
      const made = vmMade(at, original as never, origin, {
        name_label: is('twin'),
        other_config: config(original as never, fresh(seed)),
      });
      compare({
        cls: VM,
        table: vmFates,
        origin,
        original: original as never,
        result: vmRow(at, twin) as never,
        made,
      });
      compareDevices(at, original, vmRow(at, twin), 'clone');
      expect({ ...vmRow(at, vm), allowed_operations: [] }).toEqual({ ...original, allowed_operations: [] });
    });
  }

  test('of a VM by snapshot is what the table says', async () => {
    const [at, vm] = await setUp(noSnapshot);
    const original = vmRow(at, vm);
    const snapshot = await at.call('VM.snapshot', vm, 'then');
    const result = vmRow(at, snapshot);
    const made = vmMade(at, original as never, 'snapshot', {
      name_label: is('then'),
      is_a_template: is(true),
      is_a_snapshot: is(true),
      snapshot_of: is(vm),
      snapshot_time: (value) => expect(Number(String(value).slice(0, 4))).toBeGreaterThan(2020),
      snapshot_info: is(
        new Map([
          ['power-state-at-snapshot', 'Halted'],
          ['disk-snapshot-type', 'crash_consistent'],
        ]),
      ),
      snapshot_metadata: (value) => expect(value).toContain(`('uuid' '${original.uuid}')`),
      other_config: is(original.other_config),
    });
    compare({
      cls: VM,
      table: vmFates,
      origin: 'snapshot',
      original: original as never,
      result: result as never,
      made,
    });
    compareDevices(at, original, result, 'snapshot');
    expect(vmRow(at, vm).parent).toBe(snapshot);
  });

  for (const origin of ['revert', 'revive'] as const) {
    test(`of a VM by ${origin} is what the table says`, async () => {
      const [at, vm] = await setUp(noSnapshot);
      const original = vmRow(at, vm);
      const snapshot = await at.call('VM.snapshot', vm, 'then');
      if (origin === 'revert') await fill(at, vm, 2, noSnapshot);
      else await at.call('VM.destroy', vm);
      const before = origin === 'revert' ? vmRow(at, vm) : undefined;
      await at.call('VM.revert', snapshot);
      const now = at.store.committed.byUuid('VM', original.uuid) as Ref<'VM'>;
      const [result, from] = [vmRow(at, now), vmRow(at, snapshot)];
      const made = vmMade(at, { ...from, uuid: '' } as never, origin, {
        resident_on: is(nullRef),
        scheduled_to_be_resident_on: is(nullRef),
        ha_always_run: is(false),
        parent: is(snapshot),
        attached_PCIs: is([]),
        requires_reboot: is(false),
        pending_guidances: is(
          original.pending_guidances.filter((one) => !/^restart_(vm|device_model)$/.test(one)),
        ),
        recommended_guidances: is(original.recommended_guidances.filter((one) => !/^restart_/.test(one))),
        pending_guidances_recommended: is([]),
        pending_guidances_full: is([]),
      });
      const compared = {
        cls: VM,
        table: vmFates,
        origin,
        original: original as never,
        result: result as never,
        made,
      };
      compare(before === undefined ? compared : { ...compared, before: before as never });
      compareDevices(at, from, result, 'revert');
      expect(from.snapshot_of).toBe(now);
      expect(result.snapshots).toEqual([snapshot]);
    });
  }

  test('of a VM that a client makes is what the table says', async () => {
    made = await bench(fakeHypervisor(), { disks: fakeDisks() });
    const at = made;
    let given: AnyRecord = {};
    await at.store.commit((tx) => {
      const all = distinctRow(VM, tx, 3);
      given = Object.fromEntries(constructorFields(VM).map(([name]) => [name, all[name]]));
      given = { ...given, power_state: 'Running', hardware_platform_version: 5n, domain_type: 'pv' };
    });
    const vm = await at.call('VM.create', vmFields(given as Record<string, unknown>));
    const result = vmRow(at, vm);
    const original = { ...given, metrics: nullRef } as AnyRecord;
    const expected = vmMade(at, { ...original, uuid: '' }, 'create', {
      memory_target: is(given['memory_target']),
      HVM_boot_policy: is(''),
      domain_type: is('pv'),
      other_config: config({ ...original, is_a_template: false }, fresh('')),
      last_boot_CPU_flags: is(new Map()),
      last_booted_record: is(''),
      hardware_platform_version: is(5n),
    });
    compare({ cls: VM, table: vmFates, origin: 'create', original, result: result as never, made: expected });
  });
});
