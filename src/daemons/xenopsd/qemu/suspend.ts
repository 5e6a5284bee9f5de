// Suspend and resume: QEMU's own migration, with storage in place of the other host.
import type { BackendWork, GuestSpec } from '../backend.ts';
import { stillHeld } from './devices.ts';
import type { QemuGuest, QemuHost } from './live.ts';
import { readImage, writeImage } from './memory-image.ts';
import { originSaid } from './origin.ts';
import { migrateIn, migrateOut } from './transfer.ts';

/** Saves the guest and leaves its emulator stopped. On failure the guest goes on as before. */
export const save = async (
  host: QemuHost,
  guest: QemuGuest,
  path: string,
  work: BackendWork,
): Promise<void> => {
  const qmp = guest.link.qmp();
  const dead = guest.record.devices.find((device) => device.isDead);
  if (dead) throw stillHeld(dead);
  const image = await writeImage(host.disk, path);
  try {
    await qmp.execute('stop');
    await migrateOut(host, guest, qmp, image.copy, work);
    await image.finish(originSaid(guest.record));
  } catch (error) {
    host.log.info({ error, vm: guest.record.vm }, 'the guest was not suspended and goes on');
    if (guest.record.wanted === 'running') await qmp.execute('cont');
    throw error;
  } finally {
    await image.close();
  }
};

/** Starts an emulator with the memory that `save` wrote. */
export const restore = async (
  host: QemuHost,
  spec: GuestSpec,
  path: string,
  work: BackendWork,
): Promise<QemuGuest> => {
  const image = await readImage(host.disk, path);
  try {
    const feed = (stream: Parameters<typeof image.send>[0]) => image.send(stream, work.signal, work.progress);
    return await migrateIn(host, spec, image.header, feed, work);
  } finally {
    await image.close();
  }
};
