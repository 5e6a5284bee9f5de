// Processors and memory of a guest that runs. Both are the guest's to give: memory by a balloon that it
// inflates, a processor by letting go of it.
import { allowed, said } from '../../../std/allowed.ts';
import { sleep } from '../../../std/clock.ts';
import { membersOf } from '../../../std/reader.ts';
import { notReleased, notSupported } from '../refusal.ts';
import { balloon, has } from './devices.ts';
import { note, type QemuGuest, type QemuHost } from './live.ts';
import { nextEvent, type Qmp, QmpFailure } from './qmp.ts';

const MIB = 1024n * 1024n;
/** Tells how far a guest has come by then; it goes on. */
const INFLATE_MS_MAX = 5_000;
const POLL_MS = 100;

/** Lets the guest have this much; answers what it has by now. */
export const setMemory = async (host: QemuHost, guest: QemuGuest, bytes: bigint): Promise<bigint> => {
  if (!has(guest.record.devices, balloon)) {
    throw notSupported('memory_dynamic_range', bytes, 'the guest has a balloon only from its next start on');
  }
  const qmp = guest.link.qmp();
  await qmp.execute('balloon', said({ value: Number(bytes) }));
  const deadline = host.clock.monotonicMs() + INFLATE_MS_MAX;
  let actual = await memoryOf(qmp);
  while (actual !== bytes && host.clock.monotonicMs() < deadline) {
    await sleep(host.clock, POLL_MS);
    actual = await memoryOf(qmp);
  }
  await note(host, guest, { memoryMib: Number(actual / MIB) });
  return actual;
};

const memoryOf = async (qmp: Qmp): Promise<bigint> =>
  BigInt(Number(membersOf(await qmp.execute('query-balloon'))['actual']));

interface Vcpu {
  readonly driver: string;
  readonly socket: number;
  readonly core: number;
  readonly thread: number;
  /** Where it is in the emulator; absent: it could be plugged. */
  readonly path?: string;
}

const vcpusOf = async (qmp: Qmp): Promise<readonly Vcpu[]> => {
  const answer = await qmp.execute('query-hotpluggable-cpus');
  const all = (Array.isArray(answer) ? answer : []).map(membersOf).map((one): Vcpu => {
    const place = membersOf(one['props']);
    const path = one['qom-path'];
    return {
      driver: String(one['type']),
      ...{ socket: Number(place['socket-id'] ?? 0), core: Number(place['core-id'] ?? 0) },
      thread: Number(place['thread-id'] ?? 0),
      ...(typeof path === 'string' && { path }),
    };
  });
  return all.sort((a, b) => a.socket - b.socket || a.core - b.core || a.thread - b.thread);
};

/**
 * First come, last go: a saved guest fits only a machine that begins with as many as it has. What was done
 * before one is refused stays, and the next call goes on from there.
 */
export const setVcpus = async (host: QemuHost, guest: QemuGuest, count: number): Promise<void> => {
  const qmp = guest.link.qmp();
  const all = await vcpusOf(qmp);
  const plugged = all.filter(({ path }) => path !== undefined);
  if (count < plugged.length && guest.record.accelerator === 'tcg') {
    // QEMU itself hangs when a guest is saved or moved after that.
    throw notSupported('VCPUs_number_live', count, 'an emulated guest gives no processor back while it runs');
  }
  for (const vcpu of all.slice(plugged.length, count)) await plug(qmp, vcpu);
  for (const vcpu of plugged.slice(count).reverse()) await unplug(host, qmp, vcpu);
};

const plug = async (qmp: Qmp, { driver, socket, core, thread }: Vcpu): Promise<void> => {
  await qmp.execute(
    'device_add',
    said({
      driver: allowed('name', driver, (why) => new Error(why)),
      id: `vcpu${socket}-${core}-${thread}`,
      ...{ 'socket-id': socket, 'core-id': core, 'thread-id': thread },
    }),
  );
};

const unplug = async (host: QemuHost, qmp: Qmp, { path = '' }: Vcpu): Promise<void> => {
  const gone = nextEvent(
    qmp,
    host.clock,
    // What is told of is a part of the processor.
    ({ name, data }) => name === 'DEVICE_DELETED' && `${data['path']}/`.startsWith(`${path}/`),
    host.releaseMsMax,
  );
  try {
    const id = allowed('path', path, (why) => new Error(why));
    // It may be thinking about it since it was asked before.
    await qmp.execute('device_del', said({ id })).catch((error: unknown) => {
      if (!(error instanceof QmpFailure) || error.reason !== 'refused') throw error;
    });
    if ((await gone.arrived) === undefined) {
      const within = `within ${host.releaseMsMax / 1000} seconds`;
      throw notReleased('VCPU', path, `the guest did not let go of the processor ${within}`);
    }
  } finally {
    gone.stop();
  }
};
