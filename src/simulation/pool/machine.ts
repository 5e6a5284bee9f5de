import type { OwnCertificate } from '../../assembly/parts.ts';
import type { Clock } from '../../std/clock.ts';
import type { Log } from '../../std/log.ts';
import { type MachineDaemon, type MachineDaemonOptions, machineDaemon } from '../machine-daemon.ts';
import { type MachineGuests, machineGuests } from '../machine-guests.ts';
import { type MemoryDisk, memoryDisk } from '../memory-disk.ts';
import { type MemoryDurable, memoryDurable } from '../memory-durable.ts';
import { fingerprintOf } from '../memory-mesh.ts';
import type { MemoryNetwork } from '../memory-network.ts';
import type { SeededRandom } from '../random.ts';
import type { HostVolumes, Volumes } from '../volumes.ts';
import type { SimulationOptions } from './options.ts';
import type { PastHost } from './past.ts';

/** A machine, which outlives the processes that run on it. */
export interface SimulatedMachine extends PastHost {
  readonly disk: MemoryDisk;
  readonly durable: MemoryDurable;
  /** What runs on it, and the daemon that looks after it. */
  readonly guests: MachineGuests;
  readonly daemon: MachineDaemon;
  readonly volumes: HostVolumes;
  /** Forgets everything when the power goes. */
  readonly volatile: MemoryDisk;
  /** What it shows to the other hosts, as it is kept on its disk. */
  shown: OwnCertificate;
  /** Takes as long as an operation of storage takes. */
  takeTime(): Promise<void>;
  /** All that runs ends, and what was not synced may be lost. */
  losePower(): void;
}

export interface MachineParts {
  readonly past: PastHost;
  readonly clock: Clock;
  readonly random: SeededRandom;
  readonly network: MemoryNetwork;
  readonly volumes: Volumes;
  readonly log: Log;
  readonly takes: Pick<SimulationOptions, 'writeMs' | 'syncMs' | 'operationMs'>;
  /** Told of everything that begins or ends to run on it. */
  readonly changed: () => void;
  readonly sabotage?: MachineDaemonOptions['sabotage'];
}

export const openMachine = (parts: MachineParts): SimulatedMachine => {
  const { past, clock, random, network, log, takes, changed } = parts;
  const { machine, certificate } = past;
  const chance = (what: string): SeededRandom => random.split(`${what} ${machine}`);
  const disk = memoryDisk({ random: chance('disk'), syncMs: takes.syncMs });
  const guests = machineGuests(changed);
  const { operationMs } = takes;
  const daemon = machineDaemon({
    ...{ machine, clock, network, disk, guests, log, operationMs, random: chance('daemon') },
    sabotage: parts.sabotage,
  });
  const [least, most] = operationMs;
  const storageChance = chance('storage');
  const takeTime = (): Promise<void> =>
    new Promise((resolve) => {
      clock.after(least + storageChance.fraction() * (most - least), resolve);
    });
  const volumes = parts.volumes.of(machine, takeTime);
  const newVolatile = (): MemoryDisk => memoryDisk({ random: chance('volatile') });
  let volatile = newVolatile();
  return {
    ...past,
    ...{ disk, guests, daemon, volumes, takeTime },
    durable: memoryDurable({ random: chance('durable'), writeMs: takes.writeMs }),
    get volatile() {
      return volatile;
    },
    shown: { certificate, pin: fingerprintOf(certificate.cert) },
    losePower: () => {
      daemon.kill();
      guests.losePower();
      volumes.forget();
      volatile = newVolatile();
      disk.loseUnsynced();
    },
  };
};
