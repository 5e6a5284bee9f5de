import { capabilitiesValue } from '../../drivers/capabilities.ts';
import { type DeviceId, XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import {
  bridgeOf,
  lockingOf,
  vbdOf,
  vbdStateValue,
  vbdValue,
  vifOf,
  vifStateValue,
  vifValue,
} from '../../rpc/xenops/devices.ts';
import { taskValue, updatesValue } from '../../rpc/xenops/tasks.ts';
import { metadataOf, metadataText, vmOf, vmStateValue, vmValue } from '../../rpc/xenops/types.ts';
import { deviceIdOf, diskOf, keptOf, mapOf, numberOf } from '../../rpc/xenops/values.ts';
import { sleep } from '../../std/clock.ts';
import { featuresText } from '../../std/cpu-features.ts';
import { boolOf, floatOf, intOf, listOf, member, optionalMember, stringOf } from '../../std/reader.ts';
import { type Struct, struct, type Value } from '../../std/value.ts';
import { askingMethods } from './asking.ts';
import {
  announceAll,
  announceGone,
  announceVm,
  badPowerState,
  type Core,
  type DaemonMethod,
  noted,
} from './core.ts';
import * as devices from './devices.ts';
import { isUnsettled, releaseAll, settleDisks } from './disks.ts';
import * as lifecycle from './lifecycle.ts';
import * as liveDisks from './live-disks.ts';
import { dismiss, expectArrival } from './migration/arrival.ts';
import { migrate, resolveDoubt } from './migration/departure.ts';
import type { Doubts } from './migration/doubts.ts';
import { journeyOf, migrationMethods } from './migration/methods.ts';
import { takeTurn } from './queues.ts';
import type { Tasks, Work } from './tasks.ts';
import { metadataOfEntry, stateOf, tokenOfNote, type VmEntry, vbdOfEntry, vifOfEntry } from './vm-entries.ts';

/** Who answers besides the core. */
export interface MethodsOptions {
  readonly core: Core;
  readonly tasks: Tasks;
  readonly doubts: Doubts;
  readonly instanceId: string;
  /** Ends the daemon, for DEBUG.shutdown. */
  readonly stop: () => void;
}

const idOf = (args: Struct): string => stringOf(member(args, 'id'), 'id');
const deviceOf = (args: Struct): DeviceId => deviceIdOf(member(args, 'id'));

/** Every call that this daemon answers; any other is `Unimplemented`. */
export const methodTable = (options: MethodsOptions): ReadonlyMap<string, DaemonMethod> =>
  new Map(
    Object.entries({
      ...daemonMethods(options),
      ...taskMethods(options),
      ...updateMethods(options),
      ...vmMethods(options),
      ...vmWork(options),
      ...askingMethods((prepare) => asTask(options, idOf, prepare), options.core),
      ...vbdMethods(options),
      ...vifMethods(options),
      ...migrationMethods(options.core),
    }),
  );

type Methods = Readonly<Record<string, DaemonMethod>>;

/** Runs in the queue of the VM, in the caller's time. */
const inQueue = <T>(
  core: Core,
  vm: string,
  signal: AbortSignal,
  run: (entry: VmEntry) => Promise<T>,
): Promise<T> => takeTurn(core.queues, vm, signal, () => run(core.entries.find(vm)));

/** Answers a caller who has named the task with its end, and any other with its number at once. */
const task = async (
  { tasks }: MethodsOptions,
  args: Struct,
  debugInfo: string,
  run: Parameters<Tasks['create']>[1],
): Promise<Value> => {
  const name = optionalMember(args, 'task');
  return name === undefined
    ? tasks.create(debugInfo, run)
    : taskValue(await tasks.perform(stringOf(name, 'task'), debugInfo, run));
};

/** The work of a task runs in the queue of the VM. One for an unknown VM is refused at once. */
const asTask =
  (
    options: MethodsOptions,
    vmOfArgs: (args: Struct) => string,
    prepare: (args: Struct) => (entry: VmEntry, work: Work) => Promise<Value | void>,
  ): DaemonMethod =>
  (args, debugInfo) => {
    const { core } = options;
    const vm = vmOfArgs(args);
    const run = prepare(args);
    core.entries.find(vm);
    return task(options, args, debugInfo, (work) =>
      inQueue(core, vm, work.signal, async (entry) => {
        core.epochs.check(debugInfo);
        await certainly(core, entry, debugInfo);
        return (await run(entry, work)) ?? undefined;
      }),
    );
  };

/** A VM that may have moved away, or of which disks may have, is not worked on before that is known. */
const certainly = async (core: Core, entry: VmEntry, debugInfo: string): Promise<void> => {
  if ((await resolveDoubt(core, entry, debugInfo)) === 'gone') {
    throw new XenopsError('Does_not_exist', ['VM', entry.id]);
  }
  if (entry.guest !== undefined && isUnsettled(entry)) await settleDisks(core, entry, debugInfo);
};

/** Power is cut whatever state the VM is in, on its way to here or from here as well. */
const cutPower = (options: MethodsOptions, args: Struct, debugInfo: string): Promise<Value> => {
  const { core } = options;
  const vm = idOf(args);
  const entry = core.entries.getAny(vm) ?? core.entries.find(vm);
  const cancelled = new XenopsError('Cancelled', [`the migration of ${vm}, which was shut down`]);
  return task(options, args, debugInfo, async (work) => {
    entry.cut?.abort(cancelled);
    await takeTurn(core.queues, vm, work.signal, async () => {
      core.epochs.check(debugInfo);
      const there = core.entries.getAny(vm);
      if (there?.arriving !== undefined) await dismiss(core, there, debugInfo);
      else if (there !== undefined) await lifecycle.shutdown(core, there, undefined, work);
    });
    return undefined;
  });
};

const daemonMethods = ({ core, tasks, instanceId, stop }: MethodsOptions): Methods => ({
  query: async () =>
    struct({
      name: core.backend.name,
      vendor: 'Xenact',
      version: core.backend.version,
      features: core.backend.features,
      instance_id: instanceId,
      capabilities: capabilitiesValue(await core.backend.capabilities()),
    }),
  get_diagnostics: () =>
    JSON.stringify({
      vms: core.entries.all().length,
      tasks: tasks.list().length,
      updates: core.updates.lastId(),
    }),
  'HOST.stat': async () => {
    const { cpuCount, cpuModel, hypervisorVersion, features } = await core.backend.hostStat();
    const words = featuresText(features);
    return struct({
      cpu_info: struct({
        ...{ cpu_count: BigInt(cpuCount), socket_count: 1n, modelname: cpuModel },
        ...{ features: words, features_hvm: words, features_hvm_host: words },
      }),
      hypervisor: struct({ version: hypervisorVersion, capabilities: '' }),
      chipset_info: struct({ iommu: false, hvm: true }),
    });
  },
  'DEBUG.trigger': async (args) => {
    const command = stringOf(member(args, 'cmd'), 'cmd');
    const given = listOf(member(args, 'args'), 'args').map((each) => stringOf(each, 'args'));
    if (command === 'set-cancel-trigger') {
      tasks.setCancelTrigger(given[0] ?? '', Number(given[1]));
    } else if (!(await core.backend.trigger?.(command, given))) {
      throw new XenopsError('Unimplemented', [`DEBUG.trigger ${command}`]);
    }
    return null;
  },
  'DEBUG.shutdown': () => {
    stop();
    return null;
  },
});

const taskMethods = ({ tasks }: MethodsOptions): Methods => {
  const told =
    (tell: (id: string) => void): DaemonMethod =>
    (args) => {
      tell(idOf(args));
      return null;
    };
  return {
    'Task.stat': (args) => taskValue(tasks.stat(idOf(args))),
    'Task.list': () => tasks.list().map(taskValue),
    'Task.cancel': told(tasks.cancel),
    'Task.destroy': told(tasks.destroy),
    'Task.destroy_on_finish': told(tasks.destroyOnFinish),
  };
};

const updateMethods = ({ core }: MethodsOptions): Methods => ({
  'UPDATES.get': async (args, _debugInfo, signal) => {
    const lastId = optionalMember(args, 'last_id');
    const timeout = optionalMember(args, 'timeout');
    const found = await core.updates.get(
      lastId === undefined ? undefined : numberOf(lastId, 'last_id'),
      timeout === undefined ? undefined : 1000 * numberOf(timeout, 'timeout'),
      signal,
    );
    return updatesValue(found);
  },
  'UPDATES.last_id': () => BigInt(core.updates.lastId()),
  'UPDATES.inject_barrier': (args) => {
    core.updates.injectBarrier(stringOf(member(args, 'vm_id')), numberOf(member(args, 'id'), 'id'));
    return null;
  },
  'UPDATES.remove_barrier': (args) => {
    core.updates.removeBarrier(numberOf(member(args, 'id'), 'id'));
    return null;
  },
  'UPDATES.refresh_vm': (args) => {
    announceAll(core, core.entries.find(idOf(args)));
    return null;
  },
});

const statValue = (entry: VmEntry): Value => [vmValue(entry.vm), vmStateValue(stateOf(entry))];

const vmMethods = (options: MethodsOptions): Methods => {
  const { core } = options;
  const { entries } = core;
  const importMetadata = async (text: string, debugInfo: string, signal: AbortSignal): Promise<string> => {
    const metadata = metadataOf(text);
    const { id } = metadata.vm;
    const token = tokenOfNote(metadata.domains);
    if (token !== undefined) {
      await expectArrival(core, metadata, token, debugInfo, signal);
      return id;
    }
    await takeTurn(core.queues, id, signal, async () => {
      core.epochs.check(debugInfo);
      const coming = entries.getAny(id);
      if (coming?.arriving !== undefined) {
        throw new XenopsError('Internal_error', [`VM ${id} is on its way to this host`]);
      }
      const entry = entries.put(metadata);
      await noted(core, entry, () => announceAll(core, entry));
    });
    return id;
  };
  return {
    'VM.add': async (args, debugInfo, signal) => {
      const vm = vmOf(member(args, 'vm'));
      const known = entries.get(vm.id);
      const metadata = known === undefined ? { vbds: [], vifs: [] } : metadataOfEntry(known);
      return importMetadata(metadataText({ ...metadata, vm }), debugInfo, signal);
    },
    'VM.import_metadata': (args, debugInfo, signal) =>
      importMetadata(stringOf(member(args, 'metadata')), debugInfo, signal),
    'VM.import_metadata_async': (args, debugInfo) =>
      task(options, args, debugInfo, (work) =>
        importMetadata(stringOf(member(args, 'metadata')), debugInfo, work.signal),
      ),
    // Not logged anywhere: what devices keep is the guest's secret.
    'VM.get_kept': async (args) => {
      const entry = core.entries.find(idOf(args));
      return entry.guest === undefined ? entry.kept : core.backend.kept(entry.id);
    },
    'VM.set_kept': async (args, _debugInfo, signal) => {
      const kept = keptOf(member(args, 'kept'));
      await inQueue(core, idOf(args), signal, async (entry) => {
        entry.kept = kept;
      });
      return null;
    },
    'VM.export_metadata': (args) => metadataText(metadataOfEntry(entries.find(idOf(args)))),
    'VM.exists': (args) => entries.get(idOf(args)) !== undefined,
    'VM.stat': (args) => statValue(entries.find(idOf(args))),
    'VM.list': () => entries.all().map(statValue),
    'VM.remove': async (args, debugInfo, signal) => {
      await inQueue(core, idOf(args), signal, async (entry) => {
        if (entry.guest !== undefined) throw badPowerState(entry, 'Halted');
        await releaseAll(core, entry, debugInfo);
        await entries.remove(entry.id).finally(() => announceGone(core, entry));
      });
      return null;
    },
  };
};

/** Calls about a VM that answer a task. */
const vmWork = (options: MethodsOptions): Methods => {
  const { core } = options;
  const work = (prepare: (args: Struct) => (entry: VmEntry, work: Work) => Promise<void>): DaemonMethod =>
    asTask(options, idOf, prepare);
  const delayOf = (args: Struct): number | undefined => {
    const delay = optionalMember(args, 'delay');
    return delay === undefined ? undefined : Math.max(0, floatOf(delay, 'delay'));
  };
  const askToShutDown = work((args) => {
    const delayS = delayOf(args);
    return (entry, how) => lifecycle.shutdown(core, entry, delayS, how);
  });
  const diskArg = (args: Struct): ReturnType<typeof diskOf> => diskOf(member(args, 'suspend_vdi'));
  return {
    'VM.start': work(() => (entry, how) => lifecycle.start(core, entry, how)),
    'VM.unpause': work(() => (entry, how) => lifecycle.unpause(core, entry, how)),
    'VM.pause': work(() => (entry, how) => lifecycle.pause(core, entry, how)),
    'VM.shutdown': (args, debugInfo, signal) =>
      delayOf(args) === undefined
        ? cutPower(options, args, debugInfo)
        : askToShutDown(args, debugInfo, signal),
    'VM.reboot': work((args) => {
      const delayS = delayOf(args);
      return (entry, how) => lifecycle.reboot(core, entry, delayS, how);
    }),
    'VM.suspend': work((args) => {
      const disk = diskArg(args);
      return (entry, how) => lifecycle.suspend(core, entry, disk, how);
    }),
    'VM.resume': work((args) => {
      const disk = diskArg(args);
      return (entry, how) => lifecycle.resume(core, entry, disk, how);
    }),
    'VM.migrate': (args, debugInfo) => {
      const journey = journeyOf(args);
      const { id } = core.entries.find(idOf(args));
      return task(options, args, debugInfo, async (how) => {
        await inQueue(core, id, how.signal, async (entry) => {
          core.epochs.check(debugInfo);
          await migrate(core, entry, journey, how).finally(() => options.doubts.watch(entry));
        });
        return undefined;
      });
    },
    'VM.delay': work((args) => {
      const delayMs = 1000 * floatOf(member(args, 'delay'), 'delay');
      return (_machine, how) => sleep(core.clock, delayMs, how.signal);
    }),
    'VM.set_vcpus': work((args) => {
      const count = numberOf(member(args, 'vcpus'), 'vcpus');
      return (entry, how) => devices.setVcpus(core, entry, count, how);
    }),
    'VM.set_memory_dynamic_range': work((args) => {
      const minimum = intOf(member(args, 'minimum'), 'minimum');
      const maximum = intOf(member(args, 'maximum'), 'maximum');
      return (entry, how) => devices.setMemory(core, entry, minimum, maximum, how);
    }),
    'VM.set_xsdata': work((args) => {
      const xsdata = mapOf(member(args, 'xsdata'), 'xsdata');
      return async (entry) => {
        entry.vm = { ...entry.vm, xsdata };
        await noted(core, entry, () => announceVm(core, entry));
      };
    }),
  };
};

const vbdMethods = (options: MethodsOptions): Methods => {
  const { core } = options;
  const work = (prepare: (args: Struct) => (entry: VmEntry, work: Work) => Promise<void>): DaemonMethod =>
    asTask(options, (args) => deviceOf(args)[0], prepare);
  const statOf = (entry: VmEntry, device: string): Value => {
    const vbd = vbdOfEntry(entry, [entry.id, device]);
    return [vbdValue(vbd, entry.vm.boot.type === 'HVM'), vbdStateValue(devices.vbdState(entry, device), vbd)];
  };
  return {
    'VBD.add': async (args, _debugInfo, signal) => {
      const vbd = vbdOf(member(args, 'vbd'));
      await inQueue(core, vbd.id[0], signal, (entry) => devices.addVbd(core, entry, vbd));
      return vbd.id;
    },
    'VBD.remove': async (args, _debugInfo, signal) => {
      const id = deviceOf(args);
      await inQueue(core, id[0], signal, (entry) => devices.removeVbd(core, entry, id));
      return null;
    },
    'VBD.stat': (args) => {
      const [vm, device] = deviceOf(args);
      return statOf(core.entries.find(vm), device);
    },
    'VBD.list': (args) => {
      const entry = core.entries.find(idOf(args));
      return [...entry.vbds.keys()].map((device) => statOf(entry, device));
    },
    'VBD.plug': work((args) => {
      const id = deviceOf(args);
      return (entry, how) => devices.plugVbd(core, entry, id, how);
    }),
    'VBD.unplug': work((args) => {
      const id = deviceOf(args);
      const force = boolOf(member(args, 'force'), 'force');
      return (entry, how) => devices.unplugVbd(core, entry, id, force, how);
    }),
    'VBD.insert': work((args) => {
      const id = deviceOf(args);
      const disk = diskOf(member(args, 'disk'));
      return (entry, how) => devices.insertVbd(core, entry, id, disk, how);
    }),
    'VBD.overlay': work((args) => {
      const id = deviceOf(args);
      return (entry, how) => liveDisks.overlay(core, entry, id, how);
    }),
    'VBD.mirror': work((args) => {
      const id = deviceOf(args);
      const disk = diskOf(member(args, 'disk'));
      return (entry, how) => liveDisks.mirror(core, entry, id, disk, how);
    }),
    'VBD.grow': work((args) => {
      const id = deviceOf(args);
      const sizeBytes = intOf(member(args, 'size'), 'size');
      return (entry, how) => liveDisks.grow(core, entry, id, sizeBytes, how);
    }),
    'VBD.eject': work((args) => {
      const id = deviceOf(args);
      return (entry, how) => devices.ejectVbd(core, entry, id, how);
    }),
  };
};

const vifMethods = (options: MethodsOptions): Methods => {
  const { core } = options;
  const work = (prepare: (args: Struct) => (entry: VmEntry, work: Work) => Promise<void>): DaemonMethod =>
    asTask(options, (args) => deviceOf(args)[0], prepare);
  const statOf = (entry: VmEntry, device: string): Value => {
    const vif = vifOfEntry(entry, [entry.id, device]);
    return [vifValue(vif), vifStateValue(devices.vifState(entry, device), vif)];
  };
  return {
    'VIF.add': async (args, _debugInfo, signal) => {
      const vif = vifOf(member(args, 'vif'));
      await inQueue(core, vif.id[0], signal, (entry) => devices.addVif(core, entry, vif));
      return vif.id;
    },
    'VIF.remove': async (args, _debugInfo, signal) => {
      const id = deviceOf(args);
      await inQueue(core, id[0], signal, (entry) => devices.removeVif(core, entry, id));
      return null;
    },
    'VIF.stat': (args) => {
      const [vm, device] = deviceOf(args);
      return statOf(core.entries.find(vm), device);
    },
    'VIF.list': (args) => {
      const entry = core.entries.find(idOf(args));
      return [...entry.vifs.keys()].map((device) => statOf(entry, device));
    },
    'VIF.plug': work((args) => {
      const id = deviceOf(args);
      return (entry, how) => devices.plugVif(core, entry, id, how);
    }),
    'VIF.unplug': work((args) => {
      const id = deviceOf(args);
      const force = boolOf(member(args, 'force'), 'force');
      return (entry, how) => devices.unplugVif(core, entry, id, force, how);
    }),
    'VIF.move': work((args) => {
      const id = deviceOf(args);
      const bridge = bridgeOf(member(args, 'network'));
      return (entry, how) => devices.moveVif(core, entry, id, bridge, how);
    }),
    'VIF.set_locking_mode': work((args) => {
      const id = deviceOf(args);
      const mode = lockingOf(member(args, 'locking_mode'));
      return (entry, how) => devices.lockVif(core, entry, id, mode, how);
    }),
  };
};
