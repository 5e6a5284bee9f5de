import type { ArgsOf } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { fieldsFor } from '../../src/rules/fates/fate.ts';
import { vdiFates } from '../../src/rules/fates/vdi.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { asking } from '../../src/rules/storage-faults.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import type { VDI } from './class.ts';
import { keepRow, requireReached, rowFor, storedFields, type Vdi } from './volume.ts';

/** What a constructor gives: mandatory fields, and those of the others that the client named. */
export type NewVdi = Pick<Vdi, 'SR' | 'virtual_size' | 'type' | 'sharable' | 'read_only' | 'other_config'> &
  Partial<Vdi>;

export const create = async (working: Working<'VDI'>, fields: NewVdi): Promise<Ref<'VDI'>> => {
  const { view, services } = working;
  const { SR: sr, virtual_size: sizeBytes } = fields;
  requireReached(working, sr);
  if (sizeBytes < 0n) throw new Fault('INVALID_VALUE', ['virtual_size', `${sizeBytes}`]);
  const { uuid, physical_size, physical_utilisation } = view.require('SR', sr);
  const room = { asked: sizeBytes, free: physical_size - physical_utilisation };

  const volume = await asking({ sr, operation: 'vdi_create', room }, () =>
    services.storage.createVolume(
      uuid,
      {
        name: fields.name_label ?? '',
        description: fields.name_description ?? '',
        sizeBytes,
        sharable: fields.sharable,
        type: fields.type,
        readOnly: fields.read_only,
        smConfig: fields.sm_config ?? new Map(),
      },
      storageCall(working, 'VDI.create'),
    ),
  );
  working.undo(() => services.storage.destroyVolume(uuid, volume.key, { debugInfo: 'VDI.create' }));

  const ref = rowFor(working, sr, volume);
  working.settle((tx) => {
    const made = fieldsFor('VDI', vdiFates, 'create', fields, storedFields(tx, volume, working));
    keepRow(tx, working, sr, ref, made);
  });
  return ref;
};

type Introduced = ArgsOf<typeof VDI.messages.introduce>;

/** A disk that is on the storage already gets a row; the storage says what is in it, not the client. */
export const introduce = async (working: Working<'VDI'>, args: Introduced): Promise<Ref<'VDI'>> => {
  const { view, services } = working;
  const { SR: sr, location } = args;
  requireReached(working, sr);
  const { uuid: srUuid } = view.require('SR', sr);
  const known = knownAs(view, args);
  const about = known ?? newRef<'VDI'>(services);
  const volume = await asking({ sr, vdi: about, operation: 'vdi_introduce' }, () =>
    services.storage.introduceVolume(
      srUuid,
      { key: location, uuid: args.uuid || services.random.uuid(), smConfig: args.sm_config },
      storageCall(working, 'VDI.introduce'),
    ),
  ).catch((error: unknown) => {
    const gone = error instanceof Fault && error.code === 'VDI_MISSING';
    throw gone ? new Fault('VDI_LOCATION_MISSING', [sr, location]) : error;
  });
  const ref = known ?? rowFor(working, sr, volume);
  working.settle((tx) => {
    const stored = storedFields(tx, volume, working);
    const fields = fieldsFor('VDI', vdiFates, 'introduce', args, {
      ...stored,
      uuid: args.uuid === '' ? stored.uuid : args.uuid,
      name_label: args.name_label || volume.name,
      name_description: args.name_description || volume.description,
      read_only: !volume.readWrite,
    });
    if (known === undefined) keepRow(tx, working, sr, ref, fields);
    else tx.patch('VDI', ref, fields);
  });
  return ref;
};

/** The row of a disk that is introduced again; its location and its uuid must be free otherwise. */
const knownAs = (view: View, { SR: sr, location, uuid }: Introduced): Ref<'VDI'> | undefined => {
  const there = view.require('SR', sr).VDIs.find((ref) => view.get('VDI', ref)?.location === location);
  if (there !== undefined && view.get('VDI', there)?.uuid === uuid) return there;
  if (there !== undefined) throw new Fault('LOCATION_NOT_UNIQUE', [sr, location]);
  if (uuid !== '' && view.byUuid('VDI', uuid) !== undefined) {
    throw new Fault('DB_UNIQUENESS_CONSTRAINT_VIOLATION', ['VDI', 'uuid', uuid]);
  }
  return undefined;
};
