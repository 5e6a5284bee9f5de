// Goal: whatever settings of VMs, drives and cards were accepted, nothing that is done with them later ends in an
// internal error or in a message that one backend lacks: refusals say what is wrong.
// Method: random VMs and random calls, through the real client and daemon, to simulated guests and to QEMU.

import { truncateSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Backend } from '../../src/daemons/xenopsd/backend.ts';
import { qemuBackend } from '../../src/daemons/xenopsd/qemu/backend.ts';
import { guestKernelsIn } from '../../src/drivers/guest-kernels.ts';
import { nodeDisk } from '../../src/drivers/node/disk.ts';
import { nodeProcesses } from '../../src/drivers/node/processes.ts';
import { nodeRandom } from '../../src/drivers/node/random.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import { noQemu } from '../daemons/qemu/guests.ts';
import {
  connectClient,
  type Machinery,
  serveStorage,
  startDaemon,
  useBench,
} from '../daemons/xenopsd/harness.ts';
import { type Bench, bench as benchOf, vbdFields, vifFields } from './vm-bench.ts';

const folder = useBench();
const diskBytes = 1 << 20;

/** Disks are files as soon as somebody attaches them. */
const setUp = async (backendOf?: (machine: Machinery) => Promise<Backend>): Promise<Bench> => {
  const storage = await serveStorage(folder());
  storage.places.get = (location) => {
    writeFileSync(folder().path(location), '', { flag: 'a' });
    truncateSync(folder().path(location), 256 * diskBytes);
    return undefined;
  };
  await startDaemon(folder(), {}, {}, backendOf);
  const at = await benchOf(connectClient(folder()));
  await at.reports.reconcile();
  return at;
};

const mib = 1n << 20n;
const memory = fc.constantFrom(0n, 1n, 3n * mib, 16n * mib, 64n * mib, 1n << 40n);
const text = fc.constantFrom(
  '',
  'x',
  'uefi',
  'bios',
  'UEFI',
  'true',
  'false',
  '0',
  '-1',
  '4',
  '../x',
  '\u0000',
);
const maps = (keys: readonly string[]) =>
  fc.dictionary(fc.constantFrom(...keys), text, { minKeys: 1 }).map((from) => new Map(Object.entries(from)));
const platformKeys = [
  'cores-per-socket',
  'secureboot',
  'keymap',
  'qemu-devices',
  'videoram',
  'timeoffset',
  'vga',
];

/** A few odd settings at most, or hardly anything would ever start. */
const vmSettings = fc
  .array(
    fc.oneof(
      fc.record({ memory_static_max: memory }),
      fc.record({ memory_static_min: memory }),
      fc.record({ memory_dynamic_min: memory, memory_dynamic_max: memory }),
      fc.record({ VCPUs_max: fc.constantFrom(-1n, 0n, 1n, 2n, 300n) }),
      fc.record({ VCPUs_at_startup: fc.constantFrom(0n, 1n, 2n, 300n) }),
      fc.record({ HVM_shadow_multiplier: fc.constantFrom(0, 1, 4, -1) }),
      fc.record({ HVM_boot_params: maps(['order', 'firmware']) }),
      fc.record({ platform: maps(platformKeys) }),
      fc.record({
        actions_after_crash: fc.constantFrom('destroy', 'rename_restart', 'coredump_and_restart', 'preserve'),
      }),
      fc.record({ HVM_boot_policy: fc.constantFrom('', 'BIOS order') }),
      fc.record({ domain_type: fc.constantFrom('unspecified', 'hvm', 'pv', 'pvh', 'pv_in_pvh') }),
    ),
    { maxLength: 2 },
  )
  .map((few) => Object.assign({}, ...few) as Record<string, unknown>);
const drive = fc.record({
  userdevice: fc.constantFrom(
    'autodetect',
    '1',
    '5',
    '19',
    '20',
    '254',
    '255',
    '4096',
    'sdb',
    'xvdb2',
    'hdc',
    'fda',
  ),
  ...{ type: fc.constantFrom('Disk', 'CD', 'CD', 'Floppy'), mode: fc.constantFrom('RO', 'RW') },
  empty: fc.boolean(),
});
const card = fc.record({
  device: fc.constantFrom('1', '6', '7', '8', '15', '15', '16'),
  locking_mode: fc.constantFrom('network_default', 'locked', 'unlocked', 'disabled'),
  ipv4_allowed: fc.constantFrom([], ['192.0.2.7']),
});

/** Calls on the VM, and on each of its drives or cards. */
const acts = [
  ...['VM.start false false', 'VM.start true false', 'VM.pause', 'VM.unpause', 'VM.suspend'],
  ...[
    'VM.resume false false',
    'VM.hard_reboot',
    'VM.hard_shutdown',
    'VM.checkpoint taken',
    'VM.snapshot taken',
  ],
  ...['VBD.plug', 'VBD.unplug', 'VBD.unplug_force', 'VBD.eject', 'VBD.insert DISK'],
  ...['VIF.plug', 'VIF.unplug', 'VIF.unplug_force', 'VIF.move OTHER', 'VIF.move NETWORK'],
  ...['VIF.set_locking_mode locked', 'VIF.set_locking_mode disabled', 'VIF.set_locking_mode unlocked'],
  ...['VM.set_VCPUs_number_live 2', 'VM.set_memory_dynamic_range 1048576 67108864', 'VM.set_domain_type pv'],
] as const;
const asking = ['VM.clean_shutdown', 'VM.clean_reboot'] as const;

const other = 'OpaqueRef:other' as Ref<'network'>;
const notAnswers = ['INTERNAL_ERROR', 'NOT_IMPLEMENTED', 'MESSAGE_METHOD_UNKNOWN'];

/** Refusals are answers; the rest is what this is about. */
const tried = async (at: Bench, method: string, ...args: readonly unknown[]): Promise<any> => {
  try {
    return await at.call(method, ...args);
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message: string };
    expect(code === undefined || notAnswers.includes(code) ? `${method}: ${message}` : '').toBe('');
    return undefined;
  }
};

const newDisk = (at: Bench): Promise<Ref<'VDI'>> =>
  at.call(
    'VDI.create',
    new Map<string, unknown>(
      Object.entries({
        SR: at.sr,
        virtual_size: 1n,
        type: 'user',
        sharable: true,
        read_only: false,
        other_config: new Map(),
      }),
    ),
  );

const act = async (at: Bench, vm: Ref<'VM'>, line: string): Promise<void> => {
  const [method = '', ...words] = line.split(' ');
  const disk = line.includes('DISK') ? await newDisk(at) : nullRef;
  const given = { DISK: disk, OTHER: other, NETWORK: at.network, true: true, false: false } as const;
  const args = words.map((word) =>
    /^\d+$/.test(word) ? BigInt(word) : (given[word as keyof typeof given] ?? word),
  );
  const { VBDs, VIFs } = at.store.committed.require('VM', vm);
  const targets = method.startsWith('VM.') ? [vm] : method.startsWith('VBD.') ? VBDs : VIFs;
  for (const target of targets) await tried(at, method, target, ...args);
};

const lives = (at: Bench, kinds: readonly string[]) =>
  fc.asyncProperty(
    vmSettings,
    fc.array(drive, { maxLength: 4 }),
    fc.array(card, { maxLength: 3 }),
    fc.array(fc.constantFrom(...kinds), { minLength: 4, maxLength: 12 }),
    async (settings, drives, cards, does) => {
      const fields = {
        memory_static_min: mib,
        memory_static_max: 16n * mib,
        memory_dynamic_min: mib,
        memory_dynamic_max: 16n * mib,
      };
      const vm: Ref<'VM'> = await at.newVm({ ...fields, ...settings });
      const add = async (half: number): Promise<void> => {
        for (const one of drives.filter((_, index) => index % 2 === half)) {
          await tried(
            at,
            'VBD.create',
            vbdFields({ VM: vm, VDI: one.empty ? nullRef : await newDisk(at), ...one }),
          );
        }
        for (const one of cards.filter((_, index) => index % 2 === half)) {
          await tried(at, 'VIF.create', vifFields({ VM: vm, network: at.network, ...one }));
        }
      };
      await add(0);
      await tried(at, 'VM.start', vm, false, false);
      await add(1);
      for (const line of does) await act(at, vm, line);
      await tried(at, 'VM.hard_shutdown', vm);
      expect(at.state(vm)).toBe('Halted');
    },
  );

const addOther = (at: Bench): Promise<unknown> =>
  at.store.commit((tx) => tx.create('network', other, { uuid: 'other', bridge: 'xenbr1', MTU: 1500n }));

describe('Random settings', () => {
  test('are accepted and work, or are refused in words, with simulated guests', {
    timeout: 120_000,
  }, async () => {
    const at = await setUp();
    await addOther(at);
    await fc.assert(lives(at, [...acts, ...asking]), { numRuns: 60 }).finally(() => at.close());
  });

  test.skipIf(noQemu)(
    `are accepted and work, or are refused in words, with QEMU${noQemu ? ` (${noQemu})` : ''}`,
    { timeout: 240_000 },
    async () => {
      const at = await setUp(async (machine) => {
        await nodeDisk.makeFolder(folder().path('q'));
        return qemuBackend({
          ...machine,
          state: folder().path('q'),
          kernels: guestKernelsIn(nodeDisk, undefined),
          processes: nodeProcesses,
          random: nodeRandom,
          releaseMsMax: 500,
        });
      });
      await addOther(at);
      const end = async (): Promise<void> => {
        for (const { id } of await at.services.hypervisor.list()) {
          await at.services.hypervisor.shutdown(id, undefined, {
            debugInfo: 'end',
            signal: new AbortController().signal,
            progress: () => {},
          });
        }
        await at.close();
      };
      await fc.assert(lives(at, acts), { numRuns: 8, endOnFailure: true }).finally(end);
    },
  );
});
