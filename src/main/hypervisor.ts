import type { Hypervisor } from '../drivers/hypervisor/hypervisor.ts';
import { xenopsdHypervisor } from '../rpc/xenops/xenopsd.ts';
import type { Log } from '../std/log.ts';
import { type DaemonProcess, xenopsdDaemon } from './daemon.ts';
import type { Machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import type { Paths } from './paths.ts';

/** The hypervisor of this host and, where it is one of ours, the daemon that runs it. */
export interface HostHypervisor {
  readonly hypervisor: Hypervisor;
  /** Undefined: a xenopsd that somebody else looks after. */
  readonly daemon: DaemonProcess | undefined;
  /** For people: what was chosen and why. */
  readonly chosen: string;
}

const emulator = 'qemu-system-x86_64';
const probeMs = 10_000;
const probeBytesMax = 1 << 16;

export const hostHypervisor = async (
  options: UpOptions,
  machine: Machine & { readonly epoch: () => number },
  paths: Paths,
  log: Log,
): Promise<HostHypervisor> => {
  const { kind, chosen } = await choose(options.hypervisor, machine);
  const { network, clock, epoch } = machine;
  const socketPath = kind.startsWith('unix:') ? kind.slice('unix:'.length) : paths.xenopsdSocket;
  const isOurs = kind === 'qemu' || kind === 'sim';
  const hypervisor = xenopsdHypervisor({
    ...{ network, clock, log, epoch, endpoint: { socketPath } },
    ...(isOurs && { nextTurn: machine.turns.next }),
  });
  if (!isOurs) return { hypervisor, daemon: undefined, chosen };
  const daemon = xenopsdDaemon({
    ...machine,
    backend: kind,
    simConfig: options['sim-config'],
    guestKernels: options['guest-kernels'],
    guestUsers: options['guest-users'] === 'none' ? undefined : options['guest-users'],
    paths,
    log,
  });
  return { hypervisor, daemon, chosen };
};

const choose = async (
  wanted: string | undefined,
  machine: Machine,
): Promise<{ readonly kind: string; readonly chosen: string }> => {
  if (wanted !== undefined) return { kind: wanted, chosen: `hypervisor ${wanted}` };
  if (await isInstalled(machine)) return { kind: 'qemu', chosen: 'hypervisor qemu (guests are real)' };
  const chosen = `hypervisor sim (guests are simulated; install ${emulator} for real ones)`;
  return { kind: 'sim', chosen };
};

const isInstalled = async ({ processes }: Machine): Promise<boolean> => {
  try {
    const { code } = await processes.run(emulator, ['--version'], {
      timeoutMs: probeMs,
      outputMax: probeBytesMax,
    });
    return code === 0;
  } catch {
    return false;
  }
};
