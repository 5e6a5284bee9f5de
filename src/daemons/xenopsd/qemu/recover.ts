// What a new daemon does about the guests of the one before.
import { join } from 'node:path';
import { bootIdOf } from '../../../drivers/boot-id.ts';
import { sleep } from '../../../std/clock.ts';
import type { Guest } from '../backend.ts';
import { serveConsole } from './console.ts';
import { emulatorPid, type Folder, folderAt, type GuestRecord, readRecord } from './folder.ts';
import { type Ending, endingInLog, linkTo, statusOf } from './link.ts';
import { agentOf, type QemuGuest, type QemuHost, removeRemains } from './live.ts';

export interface Recovered {
  readonly guest: QemuGuest;
  readonly state: Guest['state'];
}

/**
 * Takes up every guest whose emulator runs and reports, before it answers, what ended meanwhile: an
 * emulator that is gone, or one that holds a guest which has ended and that is answered as paused.
 * Guests that were never finished, or that nobody knows, are removed.
 */
export const recoverGuests = async (host: QemuHost, known: ReadonlySet<string>): Promise<Recovered[]> => {
  await host.disk.makeFolder(host.state, 0o700);
  const names = (await host.disk.list(host.state)).filter(
    ({ kind, name }) => kind === 'folder' && isGuest(name),
  );
  const found = await Promise.all(
    names.map(({ name }) => recover(host, folderAt(join(host.state, name)), known)),
  );
  return found.filter((one) => one !== undefined);
};

const isGuest = (name: string): boolean => /^[0-9a-f]{16}$/.test(name);

const recover = async (
  host: QemuHost,
  folder: Folder,
  known: ReadonlySet<string>,
): Promise<Recovered | undefined> => {
  const record = await readRecord(host.disk, folder);
  if (record?.pid === undefined || !known.has(record.vm)) {
    host.log.warn({ vm: record?.vm, folder: folder.path }, 'removing a guest that nobody waits for');
    await removeRemains(host, folder);
    return undefined;
  }
  const pid = await emulatorPid(host.disk, record);
  if (pid === undefined) {
    const isLost = record.boot !== undefined && record.boot !== (await bootIdOf(host.disk));
    const what: Ending = isLost ? 'lost' : ((await endingInLog(host.disk, folder)) ?? 'crash');
    // The folder stays until the guest is destroyed: a daemon that dies now must find it again.
    host.onEnd(record.vm, what);
    return undefined;
  }
  return takeUp(host, folder, { ...record, pid });
};

const takeUp = async (
  host: QemuHost,
  folder: Folder,
  record: GuestRecord & { readonly pid: number },
): Promise<Recovered> => {
  const onEnd = host.onEnd.bind(undefined, record.vm);
  const link = linkTo({ ...host, folder, pid: record.pid, name: record.name, onEnd });
  let state: Guest['state'] = record.wanted;
  try {
    await link.connect();
    state = await resume(host, link.qmp(), record.wanted);
  } catch (error) {
    host.log.error({ error, vm: record.vm }, 'a guest runs but its emulator does not answer yet');
    link.keepTrying();
  }
  const console = await serveConsole(host, folder).catch((error) => {
    host.log.error({ error, vm: record.vm }, 'a guest runs without a serial console');
    return undefined;
  });
  link.speak();
  const agent = agentOf(host, folder, record, link);
  return { guest: { folder, record, link, console, agent }, state };
};

const POLL_MS = 10;
/** How long an emulator may take to notice that nobody takes its guest any more. */
const GIVE_UP_MS_MAX = 5_000;

/** A guest that was stopped to be suspended or moved, by a daemon that then died, goes on. */
const resume = async (
  { clock }: QemuHost,
  qmp: ReturnType<ReturnType<typeof linkTo>['qmp']>,
  wanted: GuestRecord['wanted'],
): Promise<Guest['state']> => {
  let status = await statusOf(qmp);
  const deadlineMs = clock.monotonicMs() + GIVE_UP_MS_MAX;
  while (status === 'finish-migrate' && clock.monotonicMs() < deadlineMs) {
    await sleep(clock, POLL_MS);
    status = await statusOf(qmp);
  }
  if (status === 'running') return 'running';
  if (wanted === 'running' && ['paused', 'postmigrate', 'prelaunch'].includes(status)) {
    await qmp.execute('cont');
    return 'running';
  }
  return 'paused';
};
