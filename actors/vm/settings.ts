import type { RecordNamed } from '../../src/model/class.ts';
import { dateTimeOf, nullRef, type Ref } from '../../src/model/types.ts';
import type { Handler } from '../../src/objects/implement.ts';
import { demand } from '../../src/objects/refusal.ts';
import { Fault } from '../../src/std/fault.ts';
import type { Tx } from '../../src/store/view.ts';
import { vmRefusal } from './admission.ts';
import { biosStrings } from './bios-strings.ts';
import { changing, setting, type VmHandlers } from './handlers.ts';
import { raiseHardware } from './hardware.ts';
import { restrictionRefusal } from './platform.ts';

type VmRow = RecordNamed<'VM'>;
type MapField = 'other_config' | 'platform' | 'blocked_operations' | 'NVRAM';

const put = (tx: Tx, self: Ref<'VM'>, field: MapField, value: ReadonlyMap<string, string>): void => {
  if (field === 'platform') {
    const [pool] = tx.all('pool');
    demand(restrictionRefusal(pool?.[1].restrictions ?? new Map(), value));
  }
  tx.patch('VM', self, { [field]: value });
};

/** Adding what is there is an error and removing what is not there is none: clients rely on both. */
const adding =
  (field: MapField) =>
  (tx: Tx, self: Ref<'VM'>, { key, value }: { key: string; value: string }) => {
    const old: ReadonlyMap<string, string> = tx.require('VM', self)[field];
    if (old.has(key)) throw new Fault('MAP_DUPLICATE_KEY', ['VM', field, self, key]);
    put(tx, self, field, new Map([...old, [key, value]]));
  };

const removing =
  (field: MapField) =>
  (tx: Tx, self: Ref<'VM'>, { key }: { key: string }) => {
    const old: ReadonlyMap<string, string> = tx.require('VM', self)[field];
    if (old.has(key)) put(tx, self, field, new Map([...old].filter(([one]) => one !== key)));
  };

const replacing =
  (field: MapField) =>
  (tx: Tx, self: Ref<'VM'>, { value }: { value: ReadonlyMap<string, string> }) =>
    put(tx, self, field, value);

/** A field that a message of its own sets. */
const plain =
  <F extends keyof VmRow>(field: F, refuses: (value: VmRow[F]) => boolean = () => false) =>
  (tx: Tx, self: Ref<'VM'>, { value }: { readonly value: VmRow[F] }) => {
    if (refuses(value)) throw new Fault('INVALID_VALUE', [`${field} must be non-negative`, String(value)]);
    tx.patch('VM', self, { [field]: value } as Partial<VmRow>);
  };

const negative = (value: bigint): boolean => value < 0n;

const whileHalted = (tx: Tx, self: Ref<'VM'>): void => {
  const { power_state } = tx.require('VM', self);
  if (power_state !== 'Halted')
    throw new Fault('VM_BAD_POWER_STATE', [self, 'halted', power_state.toLowerCase()]);
};

/** Placement groups of one VM: rules of several could contradict each other. */
const groupsMax = 1;

const restartPriorities: readonly string[] = ['', 'restart', 'best-effort'];

/** Nothing of what is only about guests stays with a template. */
const becomeTemplate = (tx: Tx, self: Ref<'VM'>): void => {
  demand(vmRefusal(tx, self, 'make_into_template'));
  const { VUSBs, metrics } = tx.require('VM', self);
  for (const vusb of VUSBs) tx.delete('VUSB', vusb);
  tx.delete('VM_metrics', metrics);
  tx.patch('VM', self, {
    is_a_template: true,
    ha_always_run: false,
    groups: [],
    metrics: nullRef as Ref<'VM_metrics'>,
  });
};

/** A template becomes a VM that one may start at the moment of its installation, and never while it runs. */
export const set_is_a_template: Handler<any, any, any> = {
  decide: ({ tx, self, services }, { value }: { readonly value: boolean }) => {
    const vm = self as Ref<'VM'>;
    if (value) return becomeTemplate(tx, vm);
    const { metrics } = tx.require('VM', vm);
    tx.patch('VM', vm, { is_a_template: false });
    if (tx.get('VM_metrics', metrics) !== undefined) {
      tx.patch('VM_metrics', metrics, { install_time: dateTimeOf(services.clock.now()) });
    }
  },
};

/** Protection begins with the guest: of one that does not run only the wish is kept. */
const setPriority = (tx: Tx, self: Ref<'VM'>, value: string): void => {
  if (!restartPriorities.includes(value)) throw new Fault('INVALID_VALUE', ['ha_restart_priority', value]);
  const { power_state, ha_restart_priority: before } = tx.require('VM', self);
  if (value === before) return;
  tx.patch('VM', self, { ha_restart_priority: value });
  if (power_state === 'Running') tx.patch('VM', self, { ha_always_run: value === 'restart' });
};

/** Only a VM that can be started is put together with others. */
const assertOrdinary = (tx: Tx, self: Ref<'VM'>, what: string): void => {
  const { is_control_domain, is_a_template, is_a_snapshot } = tx.require('VM', self);
  if (!is_control_domain && !is_a_template && !is_a_snapshot) return;
  throw new Fault('OPERATION_NOT_ALLOWED', [what]);
};

const noGroups = 'Control domains, templates, and snapshots cannot be added to VM groups.';
const noSchedules = 'Control domains, templates and snapshots cannot have a snapshot schedule.';
const noAppliances = 'Control domains, templates and snapshots cannot be assigned to appliances.';

export const settings = {
  set_other_config: setting(replacing('other_config')),
  add_to_other_config: setting(adding('other_config')),
  remove_from_other_config: setting(removing('other_config')),
  set_platform: setting(replacing('platform')),
  add_to_platform: setting(adding('platform')),
  remove_from_platform: setting(removing('platform')),
  set_blocked_operations: setting(replacing('blocked_operations')),
  add_to_blocked_operations: setting(adding('blocked_operations')),
  remove_from_blocked_operations: setting(removing('blocked_operations')),
  set_NVRAM: changing('changing_NVRAM', replacing('NVRAM')),
  add_to_NVRAM: changing('changing_NVRAM', adding('NVRAM')),
  remove_from_NVRAM: changing('changing_NVRAM', removing('NVRAM')),
  set_NVRAM_EFI_variables: setting((tx, self, { value, update }) => {
    const vm = tx.require('VM', self);
    tx.patch('VM', self, { NVRAM: new Map([...vm.NVRAM, ['EFI-variables', value]]) });
    if (update === 'no') tx.patch('VM', self, { secureboot_certificates_state: 'ok' });
    if (update === 'yes' && vm.secureboot_certificates_state === 'ok') {
      tx.patch('VM', self, { secureboot_certificates_state: 'update_available' });
    }
  }),
  set_groups: setting((tx, self, { value }) => {
    assertOrdinary(tx, self, noGroups);
    if (new Set(value).size > groupsMax) throw new Fault('TOO_MANY_GROUPS');
    for (const group of value) tx.require('VM_group', group);
    tx.patch('VM', self, { groups: value });
  }),
  set_appliance: setting((tx, self, { value }) => {
    assertOrdinary(tx, self, noAppliances);
    if (value !== nullRef) tx.require('VM_appliance', value);
    tx.patch('VM', self, { appliance: value });
  }),
  set_snapshot_schedule: setting((tx, self, { value }) => {
    assertOrdinary(tx, self, noSchedules);
    if (value !== nullRef) tx.require('VMSS', value);
    tx.patch('VM', self, { snapshot_schedule: value });
  }),
  set_start_delay: setting(plain('start_delay', negative)),
  set_shutdown_delay: setting(plain('shutdown_delay', negative)),
  set_order: setting(plain('order', negative)),
  set_actions_after_crash: setting(plain('actions_after_crash')),
  set_ha_restart_priority: setting((tx, self, { value }) => setPriority(tx, self, value)),
  set_ha_always_run: setting((tx, self, { value }) => setPriority(tx, self, value ? 'restart' : '')),
  set_is_default_template: setting((tx, self, { value }) => {
    if (value && !tx.require('VM', self).is_a_template) becomeTemplate(tx, self);
    const { other_config } = tx.require('VM', self);
    tx.patch('VM', self, {
      is_default_template: value,
      // Clients that are older than the field look here.
      other_config: new Map([...other_config, ['default_template', String(value)]]),
    });
  }),
  set_has_vendor_device: setting((tx, self, { value }) => {
    whileHalted(tx, self);
    tx.patch('VM', self, { has_vendor_device: value });
    raiseHardware(tx, self);
  }),
  set_suspend_VDI: setting((tx, self, { value }) => {
    const { power_state } = tx.require('VM', self);
    if (power_state !== 'Suspended') {
      throw new Fault('VM_BAD_POWER_STATE', [self, 'suspended', power_state.toLowerCase()]);
    }
    if (tx.require('VDI', value).type === 'cbt_metadata') {
      throw new Fault('VDI_INCOMPATIBLE_TYPE', [self, 'CBT metadata']);
    }
    tx.patch('VM', self, { suspend_VDI: value });
  }),
  set_domain_type: setting((tx, self, { value }) => {
    if (value === 'unspecified') throw new Fault('INVALID_VALUE', ['domain_type', value]);
    tx.patch('VM', self, { domain_type: value, HVM_boot_policy: value === 'hvm' ? 'BIOS order' : '' });
  }),
  set_HVM_boot_policy: setting((tx, self, { value }) => {
    tx.patch('VM', self, { HVM_boot_policy: value, domain_type: value === '' ? 'pv' : 'hvm' });
  }),
  set_bios_strings: setting((tx, self, { value }) => {
    if (tx.require('VM', self).bios_strings.size > 0) throw new Fault('VM_BIOS_STRINGS_ALREADY_SET');
    tx.patch('VM', self, { bios_strings: biosStrings(value) });
  }),
  copy_bios_strings: setting((tx, self, { host }) => {
    if (tx.require('VM', self).bios_strings.size > 0) throw new Fault('VM_BIOS_STRINGS_ALREADY_SET');
    tx.patch('VM', self, { bios_strings: tx.require('host', host).bios_strings });
  }),
  update_secureboot_certificates_on_boot: setting((tx, self, { mark }) => {
    const [from, to] = mark
      ? (['update_available', 'update_on_boot'] as const)
      : (['update_on_boot', 'update_available'] as const);
    const state = tx.require('VM', self).secureboot_certificates_state;
    if (state === 'ok') {
      const verb = mark ? 'set' : 'clear';
      const wrong = 'VM.secureboot_certificates_state is not in a valid state';
      const reason = `Cannot ${verb} update_on_boot: ${wrong}`;
      throw new Fault('OPERATION_NOT_ALLOWED', [reason]);
    }
    if (state === from) tx.patch('VM', self, { secureboot_certificates_state: to });
  }),
} satisfies VmHandlers;
