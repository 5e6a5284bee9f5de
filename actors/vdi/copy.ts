import type { OpenVolume } from '../../src/drivers/storage/storage.ts';
import type { Call } from '../../src/model/class.ts';
import { nullRef, type Ref } from '../../src/model/types.ts';
import type { Hold } from '../../src/objects/busy.ts';
import type { Working } from '../../src/objects/implement.ts';
import { reading, writing } from '../../src/rules/disk-use.ts';
import { fieldsFor } from '../../src/rules/fates/fate.ts';
import { vdiFates } from '../../src/rules/fates/vdi.ts';
import { filledOf } from '../../src/rules/images/filled.ts';
import { readAhead, writeBehind } from '../../src/rules/images/pieces.ts';
import { hostReaching, openDisk } from '../../src/rules/open-disk.ts';
import { featuresOf } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Struct, struct } from '../../src/std/value.ts';
import type { View } from '../../src/store/view.ts';
import { beginUnfinished } from './unfinished.ts';
import { requireReached } from './volume.ts';

export interface CopyArgs {
  readonly sr: Ref<'SR'>;
  readonly base_vdi: Ref<'VDI'>;
  readonly into_vdi: Ref<'VDI'>;
}

/** Disks beside the source that are there already. */
export const copyHolds = (
  { base_vdi, into_vdi }: CopyArgs,
  view: View,
  self: Ref<'VDI'>,
): readonly Hold[] => {
  const there = (vdi: Ref<'VDI'>): boolean => vdi !== self && view.get('VDI', vdi) !== undefined;
  return [...(there(into_vdi) ? [writing(into_vdi)] : []), ...(there(base_vdi) ? [reading(base_vdi)] : [])];
};

/**
 * Byte for byte, into a new disk or over one that exists. With a base, which the target already
 * equals, only what differs from it is written.
 */
export const copy = async (working: Working<'VDI'>, args: CopyArgs): Promise<Ref<'VDI'>> => {
  const { self, record, view } = working;
  if (args.into_vdi === self) {
    throw new Fault('OPERATION_NOT_ALLOWED', ['A disk cannot be copied into itself']);
  }
  requireReached(working, record.SR);
  // Disks that are gone are as good as none: the whole is copied, into a new one.
  const base = view.get('VDI', args.base_vdi) === undefined ? undefined : args.base_vdi;
  const fresh = view.get('VDI', args.into_vdi) === undefined;
  const unfinished = fresh ? await beginUnfinished(working) : undefined;
  const target =
    unfinished === undefined
      ? existingTarget(working, args.into_vdi)
      : await newTarget(working, args.sr, { marks: [unfinished.mark] });
  if (fresh) await working.hold(writing(target));

  await withOpen(working, self, 'read', async (source) => {
    const takenBytes = await withOpen(working, target, 'write', (into) =>
      base === undefined
        ? copyBytes(working, source, into, fresh ? undefined : into)
        : withOpen(working, base, 'read', (from) => copyBytes(working, source, into, from)),
    );
    working.settle((tx) => {
      tx.patch('VDI', target, { physical_utilisation: takenBytes });
      unfinished?.end(tx, target);
    });
  });
  return target;
};

interface TargetWish {
  /** What it is made by. */
  readonly call?: Call;
  /** Asked when the work fails. */
  readonly isKept?: () => boolean;
  /** For its `other_config`. */
  readonly marks?: readonly (readonly [string, string])[];
}

/** A disk like this one, taken away again if the copy fails. */
export const newTarget = async (
  working: Working<'VDI'>,
  sr: Ref<'SR'>,
  { call = working.call, isKept = () => false, marks = [] }: TargetWish = {},
): Promise<Ref<'VDI'>> => {
  const { record, view, services } = working;
  hostReaching(view, sr, services.host);
  const resets = featuresOf(view, view.require('SR', sr).type).has('VDI_RESET_ON_BOOT');
  const { virtual_size, physical_utilisation, uuid, location } = record;
  const fields = fieldsFor('VDI', vdiFates, 'copy', record, {
    SR: sr,
    virtual_size,
    on_boot: resets ? record.on_boot : 'persist',
    sm_config: new Map(),
    // The storage says them anew.
    managed: true,
    physical_utilisation,
    uuid,
    location,
  });
  const { create, destroy } = implicit(call);
  const other_config = new Map([...(fields.other_config ?? []), ...marks]);
  const target = await create(struct({ read_only: false, ...fields, other_config }));
  working.undo(() => (isKept() ? undefined : destroy(target)));
  const { on_boot = 'persist', allow_caching = false } = fields;
  working.settle((tx) => tx.patch('VDI', target, { on_boot, allow_caching }));
  return target;
};

/** Constructor and destructor follow from the declaration, so the types of messages do not have them. */
const implicit = (call: Call) => {
  const send = call as unknown as (method: string, self: Ref, args: object) => Promise<unknown>;
  return {
    create: (args: Struct) => send('VDI.create', nullRef, { args }) as Promise<Ref<'VDI'>>,
    destroy: (self: Ref<'VDI'>) => send('VDI.destroy', self, {}),
  };
};

const existingTarget = (working: Working<'VDI'>, target: Ref<'VDI'>): Ref<'VDI'> => {
  const { view, record, services } = working;
  const row = view.require('VDI', target);
  hostReaching(view, row.SR, services.host);
  if (row.read_only) throw new Fault('VDI_READONLY', [target]);
  if (row.virtual_size < record.virtual_size) {
    throw new Fault('VDI_TOO_SMALL', [target, `${record.virtual_size}`]);
  }
  return target;
};

/** Answers the bytes that the disk takes after what was written to it. */
export const withOpen = async (
  { services, signal }: Working<'VDI'>,
  vdi: Ref<'VDI'>,
  how: 'read' | 'write',
  use: (open: OpenVolume) => Promise<unknown>,
): Promise<bigint> => {
  const open = await openDisk(services, { vdi, how, operation: 'copy' }, signal);
  try {
    await use(open);
    if (how === 'write') await open.flush();
  } catch (error) {
    // What went wrong first is the answer.
    await open.close().catch(() => undefined);
    throw error;
  }
  return open.close();
};

export const copyChunkBytes = 2 * 1024 * 1024;

/**
 * Writes what the target does not have yet: what differs from `before`, or without it from zeros, so
 * that a thin disk stays thin.
 */
export const copyBytes = async (
  { signal, progress }: Pick<Working<'VDI'>, 'signal' | 'progress'>,
  source: OpenVolume,
  target: OpenVolume,
  before: OpenVolume | undefined,
): Promise<void> => {
  const theirs = Buffer.alloc(copyChunkBytes);
  const { sizeBytes } = source;
  const filled = filledOf(before ? [source, before] : [source], sizeBytes);
  await writeBehind(async ({ piece, write }) => {
    for await (const { position, bytes } of readAhead(source, filled, copyChunkBytes)) {
      signal.throwIfAborted();
      // What stood there before may be a shorter disk, beyond whose end are zeros.
      const known =
        before !== undefined && position < before.sizeBytes ? await before.read(theirs, position) : 0;
      theirs.fill(0, known);
      if (bytes.compare(theirs, 0, bytes.length) !== 0) {
        const into = await piece(bytes.length);
        bytes.copy(into);
        write(() => target.write(into, position));
      }
      progress(Number(position + BigInt(bytes.length)) / Number(sizeBytes));
    }
  });
};
