// The images under a disk of a guest, which change while it runs: another one on top, where the storage has
// taken a snapshot, or another one instead, where the disk has moved.

import { imageNode } from '../../../drivers/disk-image.ts';
import type { DeviceId } from '../../../drivers/hypervisor/hypervisor.ts';
import { type Allowed, allowed, type Said, said } from '../../../std/allowed.ts';
import { sleep } from '../../../std/clock.ts';
import { membersOf } from '../../../std/reader.ts';
import type { BackendWork, GuestDisk, MirrorWork } from '../backend.ts';
import { notSupported } from '../refusal.ts';
import { belowNodeName, type Device, imageNodeName, type NodeName } from './devices.ts';
import { lendDisk, lending, ownersOf, reachedBy, takeBack } from './guest-users.ts';
import { statusOf } from './link.ts';
import { note, type QemuGuest, type QemuHost } from './live.ts';
import { byKey } from './machine.ts';
import { type Qmp, QmpFailure } from './qmp.ts';

export type Stored = GuestDisk & { readonly path: string };

/** Gives the emulator a node of a disk that it was not started with, which its user may open from then on. */
export const addStorage = async (
  host: QemuHost,
  guest: QemuGuest,
  node: NodeName,
  disk: Stored,
  said: (named: ((path: string) => string) | undefined) => Said,
): Promise<void> => {
  const { user, reach = [], lent = [] } = guest.record;
  const added = said(user && reachedBy(reach));
  const own = user ? await lending(host.disk, node, disk) : [];
  if (user) {
    await note(host, guest, { lent: [...lent, ...own] });
    await lendDisk(host.disk, user, disk);
  }
  try {
    await guest.link.qmp().execute('blockdev-add', added);
  } catch (error) {
    await takeBack(host.disk, own);
    if (user) await note(host, guest, { lent });
    throw error instanceof QmpFailure && /permission denied/i.test(error.message) ? outOfReach(disk) : error;
  }
};

/** A repository that is mounted, or came after the guest's start, is behind folders that only root enters. */
const outOfReach = ({ vbd }: Stored): Error =>
  notSupported(
    'VBD.VDI',
    vbd.backend?.[1] ?? '',
    'the running guest has no way into this repository; do it while the VM is halted',
  );

export const unlessAbsent = async (
  qmp: Qmp,
  command: 'blockdev-del' | 'netdev_del' | 'remove-fd' | 'block-job-cancel',
  args: Said,
  absent: RegExp,
): Promise<void> => {
  try {
    await qmp.execute(command, args);
  } catch (error) {
    if (!(error instanceof QmpFailure)) throw error;
    if (error.reason !== 'absent' && !absent.test(error.message)) throw error;
  }
};

/** A file that the emulator inherited stays open, whatever becomes of the disk, until this. */
export const closeInherited = async (host: QemuHost, guest: QemuGuest, device: Device): Promise<void> => {
  const { sets = [] } = guest.record;
  const own = sets.filter(({ key }) => key === device.key);
  if (own.length === 0) return;
  for (const { set } of own) {
    await unlessAbsent(guest.link.qmp(), 'remove-fd', said({ 'fdset-id': set }), /not found/i);
  }
  await note(host, guest, { sets: sets.filter(({ key }) => key !== device.key) });
};

/** The names of all nodes that the emulator has. */
const nodesOf = async (qmp: Qmp): Promise<readonly string[]> => {
  const nodes = await qmp.execute('query-named-block-nodes', said({ flat: true }));
  return (Array.isArray(nodes) ? nodes : []).map((node) => String(membersOf(node)['node-name']));
};

/** The numbers of those of a device that are of a kind, the highest first. */
const numbersOf = (nodes: readonly string[], { id }: Device, kind: 'image' | 'below'): readonly number[] => {
  const prefix = `${id}-${kind}`;
  return nodes
    .filter((name) => name.startsWith(prefix) && /^\d{1,9}$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((one, other) => other - one);
};

/** Removes images that nothing stands on any more, the topmost first. Answers the numbers of the rest. */
export const dropImages = async (qmp: Qmp, device: Device): Promise<readonly number[]> => {
  const nodes = await nodesOf(qmp);
  const drop = (kind: 'image' | 'below', nameOf: typeof imageNodeName): Promise<readonly number[]> =>
    dropUnused(qmp, numbersOf(nodes, device, kind), (number) => nameOf(device.id, number));
  const left = await drop('image', imageNodeName);
  await drop('below', belowNodeName);
  return left;
};

const dropUnused = async (
  qmp: Qmp,
  numbers: readonly number[],
  nameOf: (number: number) => Allowed,
): Promise<readonly number[]> => {
  const left: number[] = [];
  for (const number of numbers) {
    try {
      await qmp.execute('blockdev-del', said({ 'node-name': nameOf(number) }));
    } catch (error) {
      if (!(error instanceof QmpFailure)) throw error;
      // What came with another node went with it. Any other refusal says that somebody stands on it.
      if (error.reason === 'refused' && !/find node/i.test(error.message)) left.push(number);
      else if (error.reason !== 'absent' && error.reason !== 'refused') throw error;
    }
  }
  return left;
};

/**
 * Ends what was begun with the images under a device and not finished, whoever began it. Answers the number
 * of the image that the guest writes to; undefined for a guest of an earlier version, whose images have no
 * names.
 */
const tidied = async (host: QemuHost, guest: QemuGuest, device: Device): Promise<number | undefined> => {
  const qmp = guest.link.qmp();
  await endCopying(host, qmp, device, true);
  const left = await dropImages(qmp, device);
  if (left.length > 0 && !left.includes(0)) await closeInherited(host, guest, device);
  const there = left.map((number) => imageNodeName(device.id, number) as string);
  const { images = [] } = guest.record;
  const isGone = ({ node }: { readonly node: string }): boolean =>
    node.startsWith(`${device.id}-image`) && !there.includes(node);
  if (images.some(isGone)) await note(host, guest, { images: images.filter((image) => !isGone(image)) });
  return left[0];
};

/** The same after a failure, which is what is told: what cannot be ended now is when it is looked at next. */
const tidiedLater = async (host: QemuHost, guest: QemuGuest, device: Device): Promise<void> => {
  await tidied(host, guest, device).catch((error: unknown) =>
    host.log.warn({ error, vm: guest.record.vm, device: device.key }, 'images of a disk are left for later'),
  );
};

const currentOf = async (host: QemuHost, guest: QemuGuest, device: Device): Promise<number> => {
  const current = device.isDead === true ? undefined : await tidied(host, guest, device);
  if (current !== undefined) return current;
  throw notSupported('VBD', device.key, 'the guest can be given other images only from its next start on');
};

/** Where the image is that a guest was given while it ran; undefined: it has what it began with. */
export const imageOf = async (
  host: QemuHost,
  guest: QemuGuest,
  id: DeviceId,
): Promise<string | undefined> => {
  const device = byKey(guest.record.devices, 'vbd', id[1]);
  const current = await tidied(host, guest, device);
  const node: string | undefined = current === undefined ? undefined : imageNodeName(device.id, current);
  return guest.record.images?.find((image) => image.node === node)?.path;
};

/** Gives the emulator an image, whose place is noted before. */
const addImage = async (
  host: QemuHost,
  guest: QemuGuest,
  device: Device,
  number: number,
  disk: Stored,
): Promise<Allowed> => {
  const node = imageNodeName(device.id, number);
  await note(host, guest, { images: [...(guest.record.images ?? []), { node, path: disk.path }] });
  await addStorage(host, guest, device.id, disk, (named) => imageNode(disk, named, node));
  return node;
};

const stored = (disk: GuestDisk): Stored => {
  const { path } = disk;
  if (path === undefined) throw new Error(`disk ${disk.vbd.id[1]} has no storage`);
  return { ...disk, path };
};

/** From here on the guest writes to an image that the storage has put on top of the one that it has. */
export const overlay = async (host: QemuHost, guest: QemuGuest, disk: GuestDisk): Promise<void> => {
  const device = byKey(guest.record.devices, 'vbd', disk.vbd.id[1]);
  const current = await currentOf(host, guest, device);
  const { backing: _, ...alone } = stored(disk);
  try {
    const top = await addImage(host, guest, device, current + 1, alone);
    const node = imageNodeName(device.id, current);
    await guest.link.qmp().execute('blockdev-snapshot', said({ node, overlay: top }));
  } catch (error) {
    await tidiedLater(host, guest, device);
    throw error;
  }
  await standAnew(host, guest, device, current + 1, stored(disk)).catch((error: unknown) =>
    host.log.warn({ error, vm: guest.record.vm, device: device.key }, 'a disk keeps what it stood on open'),
  );
  await tidiedLater(host, guest, device);
};

/**
 * What an image on top stands on is opened anew, as the storage has it by now. The guest reads the same, and
 * lets go of images that were merged since they were opened, and of their room.
 */
const standAnew = async (
  host: QemuHost,
  guest: QemuGuest,
  device: Device,
  number: number,
  disk: Stored,
): Promise<void> => {
  const { backing: [path, ...backing] = [], ...alone } = disk;
  if (path === undefined) return;
  const [top, below] = [imageNodeName(device.id, number), belowNodeName(device.id, number)];
  const vbd = { ...disk.vbd, mode: 'ReadOnly' } as const;
  const stoodOn: Stored = { ...disk, vbd, path, backing };
  // The emulator's user may open them for this instant alone: they are no other guest's to read.
  const before = guest.record.user ? await ownersOf(host.disk, below, stoodOn) : [];
  await addStorage(host, guest, device.id, stoodOn, (named) =>
    imageNode({ path, format: 'qcow2', backing, stoodOn: true }, named, below),
  ).finally(() => takeBack(host.disk, before));
  const { user, reach = [] } = guest.record;
  const same = imageNode(alone, user && reachedBy(reach), top);
  await guest.link.qmp().execute('blockdev-reopen', said({ options: [{ ...same, backing: below }] }));
};

const PROGRESS_MS = 250;
const ENDING_MS = 5;

interface Job {
  readonly done: number;
  readonly ready: boolean;
}

const jobOf = async (qmp: Qmp, name: Allowed): Promise<Job | undefined> => {
  const jobs = await qmp.execute('query-block-jobs');
  const job = (Array.isArray(jobs) ? jobs : []).map(membersOf).find(({ device }) => device === name);
  if (job === undefined) return undefined;
  return { done: Number(job['offset']) / (Number(job['len']) || 1), ready: job['ready'] === true };
};

/**
 * Copies a disk into another image while the guest runs, and gives the guest that one in its place. `whole`
 * is called in between, while the guest stands still and both are the same.
 */
export const mirror = async (
  host: QemuHost,
  guest: QemuGuest,
  disk: GuestDisk,
  work: MirrorWork,
): Promise<void> => {
  const device = byKey(guest.record.devices, 'vbd', disk.vbd.id[1]);
  const current = await currentOf(host, guest, device);
  try {
    await madeWhole(host, guest.link.qmp(), device, imageNodeName(device.id, current), work);
    const target = await addImage(host, guest, device, current + 1, stored(disk));
    await copied(host, guest.link.qmp(), { device, target }, work, async () => {
      await work.whole();
      await exchange(guest.link.qmp(), device, target);
    });
  } catch (error) {
    await tidiedLater(host, guest, device);
    throw error;
  }
  await tidied(host, guest, device);
};

interface Mirroring {
  readonly device: Device;
  readonly target: Allowed;
}

const jobNameOf = ({ id }: Device): Allowed => allowed('text', `${id}-mirror`, (why) => new Error(why));

/** Ends the copying, if there is any; what was copied stays, and is whole if it was ready. */
const endCopying = async (host: QemuHost, qmp: Qmp, device: Device, force: boolean): Promise<void> => {
  const job = jobNameOf(device);
  if ((await jobOf(qmp, job)) === undefined) return;
  await unlessAbsent(qmp, 'block-job-cancel', said({ device: job, force }), /not found/i);
  while ((await jobOf(qmp, job)) !== undefined) await sleep(host.clock, ENDING_MS);
};

/** Hears what became of a job; nothing is no failure. */
const failureOf = (
  qmp: Qmp,
  job: Allowed,
): { readonly what: () => string; readonly unlisten: () => void } => {
  let failed = '';
  const unlisten = qmp.onEvent(({ name, data }) => {
    if (name === 'BLOCK_JOB_COMPLETED' && data['device'] === job) failed = String(data['error'] ?? '');
  });
  return { what: () => failed, unlisten };
};

/** Whether a node stands on another image. */
const isStacked = async (qmp: Qmp, node: Allowed): Promise<boolean> => {
  const nodes = await qmp.execute('query-named-block-nodes', said({ flat: true }));
  const found = (Array.isArray(nodes) ? nodes : []).map(membersOf).find((one) => one['node-name'] === node);
  return found?.['backing_file'] !== undefined;
};

/**
 * A mirror of the node that a device holds has only what the topmost image has: what is below reads as zeros.
 * So one that stands on others is given all of theirs first. It may be left in the middle.
 */
const madeWhole = async (
  host: QemuHost,
  qmp: Qmp,
  device: Device,
  node: Allowed,
  { signal }: BackendWork,
): Promise<void> => {
  if (!(await isStacked(qmp, node))) return;
  const job = jobNameOf(device);
  const failure = failureOf(qmp, job);
  try {
    await qmp.execute('block-stream', said({ 'job-id': job, device: node }));
    while ((await jobOf(qmp, job)) !== undefined) await sleep(host.clock, PROGRESS_MS, signal);
    if (failure.what() !== '' || (await isStacked(qmp, node))) {
      throw new Error(`the disk could not be made one image: ${failure.what() || 'it ended early'}`);
    }
  } finally {
    failure.unlisten();
  }
};

/** Runs `then` while the guest stands still and both are the same. */
const copied = async (
  host: QemuHost,
  qmp: Qmp,
  { device, target }: Mirroring,
  { signal, progress }: BackendWork,
  then: () => Promise<void>,
): Promise<void> => {
  const job = jobNameOf(device);
  const failure = failureOf(qmp, job);
  const assertWell = (): void => {
    if (failure.what() !== '') throw new Error(`the disk could not be copied: ${failure.what()}`);
  };
  try {
    // Every write of the guest goes to both, so that a guest that writes all the time arrives as well.
    const how = { sync: 'full', 'copy-mode': 'write-blocking' } as const;
    await qmp.execute('blockdev-mirror', said({ 'job-id': job, device: device.id, target, ...how }));
    for (;;) {
      signal.throwIfAborted();
      const found = await jobOf(qmp, job);
      if (found === undefined) {
        assertWell();
        throw new Error('the disk could not be copied: it ended early');
      }
      progress(found.done);
      if (found.ready) break;
      await sleep(host.clock, PROGRESS_MS, signal);
    }
    await standingStill(qmp, async () => {
      await endCopying(host, qmp, device, false);
      // An error that came last leaves the copy behind the disk.
      assertWell();
      await then();
    });
  } finally {
    failure.unlisten();
  }
};

/** A guest that runs is stopped for it, which takes no longer than its last writes. */
const standingStill = async (qmp: Qmp, run: () => Promise<void>): Promise<void> => {
  const isRunning = (await statusOf(qmp)) === 'running';
  if (isRunning) await qmp.execute('stop');
  try {
    await run();
  } finally {
    if (isRunning) await qmp.execute('cont');
  }
};

/** Puts another image under the node that a device holds. */
const exchange = async (qmp: Qmp, { id }: Device, target: Allowed): Promise<void> => {
  const options = said({
    driver: 'raw',
    'node-name': id,
    'read-only': false,
    discard: 'unmap',
    file: target,
  });
  await qmp.execute('blockdev-reopen', said({ options: [options] }));
};

/** The guest is told that its disk has grown. */
export const grow = async (guest: QemuGuest, id: DeviceId, sizeBytes: bigint): Promise<void> => {
  const device = byKey(guest.record.devices, 'vbd', id[1]);
  await guest.link.qmp().execute('block_resize', said({ 'node-name': device.id, size: Number(sizeBytes) }));
};
