import { type DateTime, dateTimeOf, type Ref } from '../../src/model/types.ts';
import { keepDisabled } from '../../src/objects/host-facts.ts';
import { implement } from '../../src/objects/implement.ts';
import { faultFrom } from '../../src/objects/refusal.ts';
import { newBlob } from '../../src/rules/blobs.ts';
import { freeBytes } from '../../src/rules/placement/memory.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { hostRefusal, operations } from './admission.ts';
import { host } from './class.ts';
import { declareDead, destroy } from './dying.ts';
import { assertCanEvacuate, evacuate, guestsOn, stuckGuests } from './evacuating.ts';
import { mirrored, setMirrored } from './mirrored.ts';
import { callPlugin } from './plugins.ts';
import { setPowerOn } from './power-on.ts';
import { receive } from './receiving.ts';
import { capabilities, reports } from './reports.ts';

/** Time for the answer to reach the client before the program that gives it goes. */
const answerMs = 200;

const self = ({ self: ref }: { readonly self: Ref }): Ref<'host'> => ref as Ref<'host'>;

/** Without a zone, as that is how local times are told apart on the wire. */
const localTime = (nowMs: number): DateTime => {
  const offsetMs = new Date(nowMs).getTimezoneOffset() * 60_000;
  return dateTimeOf(nowMs - offsetMs).replace(/Z$/, '') as DateTime;
};

/** The machine belongs to somebody else as well: Xenact never switches it off. */
const keepOn = (view: View, ref: Ref<'host'>): never => {
  if (guestsOn(view, ref).length > 0) throw new Fault('HOST_HAS_RESIDENT_VMS', [ref]);
  throw new Fault('OPERATION_NOT_ALLOWED', [
    'Xenact does not switch the machine off or on: use its own means, or host.restart_agent for Xenact alone',
  ]);
};

const managementInterface = (view: View, ref: Ref<'host'>): Ref<'PIF'> => {
  const found = view.require('host', ref).PIFs.find((pif) => view.get('PIF', pif)?.management === true);
  if (found === undefined) throw new Fault('HOST_HAS_NO_MANAGEMENT_IP');
  return found;
};

export default implement(
  host,
  {
    home: (_, ref) => ref,
    admit: (view, ref, operation) => faultFrom(hostRefusal(view, ref, operation)),
    affects: (_, view) => [...view.all('pool')].map(([pool]) => ['pool', pool] as const),
    derive: (view, ref, record) => ({
      ...mirrored(record),
      allowed_operations: operations.filter((operation) => hostRefusal(view, ref, operation) === undefined),
    }),
  },
  {
    get_servertime: { at: 'home', read: ({ services }) => dateTimeOf(services.clock.now()) },
    get_server_localtime: { at: 'home', read: ({ services }) => localTime(services.clock.now()) },
    is_in_emergency_mode: { read: ({ services }) => services.availability().emergency !== undefined },
    compute_free_memory: { read: ({ view, self: ref }) => freeBytes(view, ref as Ref<'host'>) },
    compute_memory_overhead: {
      read: ({ view, self: ref }) => view.require('host', ref as Ref<'host'>).memory_overhead,
    },
    get_management_interface: { read: (reading) => managementInterface(reading.view, self(reading)) },
    get_uncooperative_resident_VMs: { read: () => [] },
    get_uncooperative_domains: { read: () => [] },
    get_system_status_capabilities: { read: () => capabilities },

    disable: {
      decide: (deciding, { auto_enable }) => {
        const { other_config } = deciding.tx.require('host', self(deciding));
        deciding.tx.patch('host', self(deciding), {
          enabled: false,
          other_config: auto_enable ? other_config : new Map([...other_config, [keepDisabled, 'true']]),
        });
      },
    },
    enable: {
      operation: 'enable',
      offline: true,
      work: async ({ self: ref, settle }) =>
        settle((tx) => {
          const { other_config } = tx.require('host', ref);
          tx.patch('host', ref, {
            enabled: true,
            other_config: new Map([...other_config].filter(([key]) => key !== keepDisabled)),
          });
        }),
    },
    get_vms_which_prevent_evacuation: { offline: true, work: stuckGuests },
    assert_can_evacuate: { offline: true, work: assertCanEvacuate },
    evacuate: { operation: 'evacuate', work: evacuate },
    shutdown: { operation: 'shutdown', work: async ({ self: ref, view }) => keepOn(view, ref) },
    reboot: { operation: 'reboot', work: async ({ self: ref, view }) => keepOn(view, ref) },
    power_on: { operation: 'power_on', work: async ({ self: ref, view }) => keepOn(view, ref) },
    restart_agent: {
      work: async ({ services }) => {
        services.clock.after(answerMs, services.restart);
      },
    },
    destroy: { decide: destroy },
    declare_dead: { offline: true, work: declareDead },

    migrate_receive: { on: (_, view) => view.only('pool')[1].master, decide: receive },
    call_plugin: { work: callPlugin },
    create_new_blob: newBlob('host'),
    has_extension: { at: 'home', read: () => false },
    call_extension: {
      at: 'home',
      read: (_, { call }) => {
        throw new Fault('MESSAGE_METHOD_UNKNOWN', [call]);
      },
    },
    apply_edition: {
      decide: (deciding, { edition }) => {
        const { editions } = deciding.tx.require('host', self(deciding));
        if (!editions.includes(edition)) throw new Fault('INVALID_EDITION', [edition]);
        deciding.tx.patch('host', self(deciding), { edition });
      },
    },
    set_license_params: {
      decide: (deciding, { value }) => deciding.tx.patch('host', self(deciding), { license_params: value }),
    },
    set_power_on_mode: {
      decide: (deciding, { power_on_mode, power_on_config }) =>
        setPowerOn(deciding, { power_on_mode, power_on_config }),
    },
    set_iscsi_iqn: {
      decide: (deciding, { value }) => {
        if (value === '') throw new Fault('INVALID_VALUE', ['value', value]);
        setMirrored(deciding, 'iscsi_iqn', value);
      },
    },
    set_multipathing: {
      decide: (deciding, { value }) => setMirrored(deciding, 'multipathing', String(value)),
    },
    set_numa_affinity_policy: {
      decide: (deciding, { value }) =>
        deciding.tx.patch('host', self(deciding), { numa_affinity_policy: value }),
    },
  },
  reports,
);
