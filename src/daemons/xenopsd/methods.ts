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
import { deviceIdOf, diskOf, mapOf, numberOf } from '../../rpc/xenops/values.ts';
import { sleep } from '../../std/clock.ts';
import { boolOf, floatOf, intOf, listOf, member, optionalMember, stringOf } from '../../std/reader.ts';
import { type Struct, struct, type Value } from '../../std/value.ts';
import { announceAll, announceGone, announceVm, badPowerState, type Core, type Method } from './core.ts';
import * as devices from './devices.ts';
import { releaseAll } from './disks.ts';
import * as lifecycle from './lifecycle.ts';
import {
  type Machine,
  metadataOfMachine,
  stateOf,
  tokenOfNote,
  vbdOfMachine,
  vifOfMachine,
} from './machines.ts';
import { dismiss, expectArrival } from './migration/arrival.ts';
import { migrate, settle } from './migration/departure.ts';
import type { Doubts } from './migration/doubts.ts';
import { journeyOf, migrationMethods } from './migration/methods.ts';
import { takeTurn } from './queues.ts';
import type { Tasks, Work } from './tasks.ts';

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
export const methodTable = (options: MethodsOptions): ReadonlyMap<string, Method> =>
  new Map(
    Object.entries({
      ...daemonMethods(options),
      ...taskMethods(options),
      ...updateMethods(options),
      ...vmMethods(options),
      ...vmWork(options),
      ...vbdMethods(options),
      ...vifMethods(options),
      ...migrationMethods(options.core),
    }),
  );

type Methods = Readonly<Record<string, Method>>;

/** Runs in the queue of the VM, in the caller's time. */
const inQueue = <T>(
  core: Core,
  vm: string,
  signal: AbortSignal,
  run: (machine: Machine) => Promise<T>,
): Promise<T> => takeTurn(core.queues, vm, signal, () => run(core.machines.find(vm)));

/** Answers a task's id; its work runs in the queue of the VM. One for an unknown VM is refused at once. */
const asTask =
  (
    { core, tasks }: MethodsOptions,
    vmOfArgs: (args: Struct) => string,
    prepare: (args: Struct) => (machine: Machine, work: Work) => Promise<void>,
  ): Method =>
  (args, debugInfo) => {
    const vm = vmOfArgs(args);
    const run = prepare(args);
    core.machines.find(vm);
    return tasks.create(debugInfo, async (work) => {
      await inQueue(core, vm, work.signal, async (machine) => {
        core.epochs.check(debugInfo);
        await certainly(core, machine, debugInfo);
        await run(machine, work);
      });
      return undefined;
    });
  };

/** A VM that may have moved away is not worked on before that is known. */
const certainly = async (core: Core, machine: Machine, debugInfo: string): Promise<void> => {
  if ((await settle(core, machine, debugInfo)) === 'gone') {
    throw new XenopsError('Does_not_exist', ['VM', machine.id]);
  }
};

/** Power is cut whatever state the VM is in, on its way to here or from here as well. */
const cutPower = ({ core, tasks }: MethodsOptions, vm: string, debugInfo: string): string => {
  const machine = core.machines.getAny(vm) ?? core.machines.find(vm);
  const cancelled = new XenopsError('Cancelled', [`the migration of ${vm}, which was shut down`]);
  return tasks.create(debugInfo, async (work) => {
    machine.cut?.abort(cancelled);
    await takeTurn(core.queues, vm, work.signal, async () => {
      core.epochs.check(debugInfo);
      const there = core.machines.getAny(vm);
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
      vms: core.machines.all().length,
      tasks: tasks.list().length,
      updates: core.updates.lastId(),
    }),
  'HOST.stat': async () => {
    const { cpuCount, cpuModel, hypervisorVersion } = await core.backend.hostStat();
    return struct({
      cpu_info: struct({ cpu_count: BigInt(cpuCount), socket_count: 1n, modelname: cpuModel }),
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
    (tell: (id: string) => void): Method =>
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
    announceAll(core, core.machines.find(idOf(args)));
    return null;
  },
});

const statValue = (machine: Machine): Value => [vmValue(machine.vm), vmStateValue(stateOf(machine))];

const vmMethods = (options: MethodsOptions): Methods => {
  const { core, tasks } = options;
  const { machines } = core;
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
      const coming = machines.getAny(id);
      if (coming?.arriving !== undefined) {
        throw new XenopsError('Internal_error', [`VM ${id} is on its way to this host`]);
      }
      const machine = machines.put(metadata);
      await machines.save(machine);
      announceAll(core, machine);
    });
    return id;
  };
  return {
    'VM.add': async (args, debugInfo, signal) => {
      const vm = vmOf(member(args, 'vm'));
      const known = machines.get(vm.id);
      const metadata = known === undefined ? { vbds: [], vifs: [] } : metadataOfMachine(known);
      return importMetadata(metadataText({ ...metadata, vm }), debugInfo, signal);
    },
    'VM.import_metadata': (args, debugInfo, signal) =>
      importMetadata(stringOf(member(args, 'metadata')), debugInfo, signal),
    'VM.import_metadata_async': (args, debugInfo) =>
      tasks.create(debugInfo, (work) =>
        importMetadata(stringOf(member(args, 'metadata')), debugInfo, work.signal),
      ),
    'VM.export_metadata': (args) => metadataText(metadataOfMachine(machines.find(idOf(args)))),
    'VM.exists': (args) => machines.get(idOf(args)) !== undefined,
    'VM.stat': (args) => statValue(machines.find(idOf(args))),
    'VM.list': () => machines.all().map(statValue),
    'VM.remove': async (args, debugInfo, signal) => {
      await inQueue(core, idOf(args), signal, async (machine) => {
        if (machine.guest !== undefined) throw badPowerState(machine, 'Halted');
        await releaseAll(core, machine, debugInfo);
        await machines.remove(machine.id);
        announceGone(core, machine);
      });
      return null;
    },
  };
};

/** Calls about a VM that answer a task. */
const vmWork = (options: MethodsOptions): Methods => {
  const { core } = options;
  const work = (prepare: (args: Struct) => (machine: Machine, work: Work) => Promise<void>): Method =>
    asTask(options, idOf, prepare);
  const delayOf = (args: Struct): number | undefined => {
    const delay = optionalMember(args, 'delay');
    return delay === undefined ? undefined : Math.max(0, floatOf(delay, 'delay'));
  };
  const askToShutDown = work((args) => {
    const delayS = delayOf(args);
    return (machine, how) => lifecycle.shutdown(core, machine, delayS, how);
  });
  const diskArg = (args: Struct): ReturnType<typeof diskOf> => diskOf(member(args, 'suspend_vdi'));
  return {
    'VM.start': work(() => (machine, how) => lifecycle.start(core, machine, how)),
    'VM.unpause': work(() => (machine, how) => lifecycle.unpause(core, machine, how)),
    'VM.pause': work(() => (machine, how) => lifecycle.pause(core, machine, how)),
    'VM.shutdown': (args, debugInfo, signal) =>
      delayOf(args) === undefined
        ? cutPower(options, idOf(args), debugInfo)
        : askToShutDown(args, debugInfo, signal),
    'VM.reboot': work((args) => {
      const delayS = delayOf(args);
      return (machine, how) => lifecycle.reboot(core, machine, delayS, how);
    }),
    'VM.suspend': work((args) => {
      const disk = diskArg(args);
      return (machine, how) => lifecycle.suspend(core, machine, disk, how);
    }),
    'VM.resume': work((args) => {
      const disk = diskArg(args);
      return (machine, how) => lifecycle.resume(core, machine, disk, how);
    }),
    'VM.migrate': (args, debugInfo) => {
      const journey = journeyOf(args);
      const { id } = core.machines.find(idOf(args));
      return options.tasks.create(debugInfo, async (how) => {
        await inQueue(core, id, how.signal, async (machine) => {
          core.epochs.check(debugInfo);
          await migrate(core, machine, journey, how).finally(() => options.doubts.watch(machine));
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
      return (machine, how) => devices.setVcpus(core, machine, count, how);
    }),
    'VM.set_memory_dynamic_range': work((args) => {
      const minimum = intOf(member(args, 'minimum'), 'minimum');
      const maximum = intOf(member(args, 'maximum'), 'maximum');
      return (machine, how) => devices.setMemory(core, machine, minimum, maximum, how);
    }),
    'VM.set_xsdata': work((args) => {
      const xsdata = mapOf(member(args, 'xsdata'), 'xsdata');
      return async (machine) => {
        machine.vm = { ...machine.vm, xsdata };
        await core.machines.save(machine);
        announceVm(core, machine);
      };
    }),
  };
};

const vbdMethods = (options: MethodsOptions): Methods => {
  const { core } = options;
  const work = (prepare: (args: Struct) => (machine: Machine, work: Work) => Promise<void>): Method =>
    asTask(options, (args) => deviceOf(args)[0], prepare);
  const statOf = (machine: Machine, device: string): Value => {
    const vbd = vbdOfMachine(machine, [machine.id, device]);
    return [
      vbdValue(vbd, machine.vm.boot.type === 'HVM'),
      vbdStateValue(devices.vbdState(machine, device), vbd),
    ];
  };
  return {
    'VBD.add': async (args, _debugInfo, signal) => {
      const vbd = vbdOf(member(args, 'vbd'));
      await inQueue(core, vbd.id[0], signal, (machine) => devices.addVbd(core, machine, vbd));
      return vbd.id;
    },
    'VBD.remove': async (args, _debugInfo, signal) => {
      const id = deviceOf(args);
      await inQueue(core, id[0], signal, (machine) => devices.removeVbd(core, machine, id));
      return null;
    },
    'VBD.stat': (args) => {
      const [vm, device] = deviceOf(args);
      return statOf(core.machines.find(vm), device);
    },
    'VBD.list': (args) => {
      const machine = core.machines.find(idOf(args));
      return [...machine.vbds.keys()].map((device) => statOf(machine, device));
    },
    'VBD.plug': work((args) => {
      const id = deviceOf(args);
      return (machine, how) => devices.plugVbd(core, machine, id, how);
    }),
    'VBD.unplug': work((args) => {
      const id = deviceOf(args);
      const force = boolOf(member(args, 'force'), 'force');
      return (machine, how) => devices.unplugVbd(core, machine, id, force, how);
    }),
    'VBD.insert': work((args) => {
      const id = deviceOf(args);
      const disk = diskOf(member(args, 'disk'));
      return (machine, how) => devices.insertVbd(core, machine, id, disk, how);
    }),
    'VBD.eject': work((args) => {
      const id = deviceOf(args);
      return (machine, how) => devices.ejectVbd(core, machine, id, how);
    }),
  };
};

const vifMethods = (options: MethodsOptions): Methods => {
  const { core } = options;
  const work = (prepare: (args: Struct) => (machine: Machine, work: Work) => Promise<void>): Method =>
    asTask(options, (args) => deviceOf(args)[0], prepare);
  const statOf = (machine: Machine, device: string): Value => {
    const vif = vifOfMachine(machine, [machine.id, device]);
    return [vifValue(vif), vifStateValue(devices.vifState(machine, device), vif)];
  };
  return {
    'VIF.add': async (args, _debugInfo, signal) => {
      const vif = vifOf(member(args, 'vif'));
      await inQueue(core, vif.id[0], signal, (machine) => devices.addVif(core, machine, vif));
      return vif.id;
    },
    'VIF.remove': async (args, _debugInfo, signal) => {
      const id = deviceOf(args);
      await inQueue(core, id[0], signal, (machine) => devices.removeVif(core, machine, id));
      return null;
    },
    'VIF.stat': (args) => {
      const [vm, device] = deviceOf(args);
      return statOf(core.machines.find(vm), device);
    },
    'VIF.list': (args) => {
      const machine = core.machines.find(idOf(args));
      return [...machine.vifs.keys()].map((device) => statOf(machine, device));
    },
    'VIF.plug': work((args) => {
      const id = deviceOf(args);
      return (machine, how) => devices.plugVif(core, machine, id, how);
    }),
    'VIF.unplug': work((args) => {
      const id = deviceOf(args);
      const force = boolOf(member(args, 'force'), 'force');
      return (machine, how) => devices.unplugVif(core, machine, id, force, how);
    }),
    'VIF.move': work((args) => {
      const id = deviceOf(args);
      const bridge = bridgeOf(member(args, 'network'));
      return (machine, how) => devices.moveVif(core, machine, id, bridge, how);
    }),
    'VIF.set_locking_mode': work((args) => {
      const id = deviceOf(args);
      const mode = lockingOf(member(args, 'locking_mode'));
      return (machine, how) => devices.lockVif(core, machine, id, mode, how);
    }),
  };
};
