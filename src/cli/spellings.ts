import { own } from '../std/own.ts';

/** Values of enumerations that the command line has other words for than the XenAPI, by the enumeration. */
const spellings: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  vm_power_state: { Halted: 'halted', Paused: 'paused', Running: 'running', Suspended: 'suspended' },
  on_normal_exit: { destroy: 'Destroy', restart: 'Restart' },
  on_softreboot_behavior: {
    ...{ soft_reboot: 'Soft reboot', destroy: 'Destroy', restart: 'Restart', preserve: 'Preserve' },
  },
  on_crash_behaviour: {
    ...{ destroy: 'Destroy', coredump_and_destroy: 'Core dump and destroy', restart: 'Restart' },
    ...{
      coredump_and_restart: 'Core dump and restart',
      preserve: 'Preserve',
      rename_restart: 'Rename restart',
    },
  },
  console_protocol: { vt100: 'VT100', rfb: 'RFB', rdp: 'RDP' },
  vbd_mode: { RO: 'ro', RW: 'rw' },
  vdi_type: {
    ...{ system: 'System', user: 'User', ephemeral: 'Ephemeral', suspend: 'Suspend', crashdump: 'Crashdump' },
    ...{ ha_statefile: 'HA statefile', metadata: 'Metadata', redo_log: 'Redo log', rrd: 'rrd' },
    ...{ pvs_cache: 'PVS cache', cbt_metadata: 'CBT metadata' },
  },
  task_allowed_operations: { cancel: 'Cancel', destroy: 'Destroy' },
  host_allowed_operations: { vm_start: 'VM.start', vm_resume: 'VM.resume', vm_migrate: 'VM.migrate' },
};

/** Operations of an SR upon its disks and connections: `VDI.create` for `vdi_create`. */
const operation = (value: string): string =>
  value.replace(/^(vdi|pbd)_/, (cls) => `${cls.slice(0, -1).toUpperCase()}.`);

const nameOf = (enumeration: string): string => enumeration.replace(/^enum /, '');

export const spelled = (enumeration: string, value: string): string => {
  const name = nameOf(enumeration);
  return name === 'storage_operations' ? operation(value) : (own(own(spellings, name) ?? {}, value) ?? value);
};

/** What is meant by a word of the command line; anything that has no other spelling is left as it is. */
export const unspelled = (enumeration: string, text: string): string => {
  const wanted = text.toLowerCase();
  const known = Object.entries(own(spellings, nameOf(enumeration)) ?? {});
  return known.find(([, spelling]) => spelling.toLowerCase() === wanted)?.[0] ?? text;
};
