import type { ArgsOf } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { asking } from '../../src/objects/storage-faults.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import type { VDI } from './class.ts';
import { allocate, requireReached, sizesOf, uuidFor, type Vdi } from './volume.ts';

/** What a constructor gives: mandatory fields, and those of the others that the client named. */
export type NewVdi = Pick<Vdi, 'SR' | 'virtual_size' | 'type' | 'sharable' | 'read_only' | 'other_config'> &
  Partial<Vdi>;

export const create = async (working: Working<'VDI'>, fields: NewVdi): Promise<Ref<'VDI'>> => {
  const { view, services, signal } = working;
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
      },
      { debugInfo: 'VDI.create', signal },
    ),
  );
  working.undo(() => services.storage.destroyVolume(uuid, volume.key, { debugInfo: 'VDI.create' }));

  const ref = newRef<'VDI'>(services);
  working.settle((tx) => {
    tx.create('VDI', ref, {
      ...fields,
      ...sizesOf(volume),
      uuid: uuidFor(tx, volume, working),
      location: volume.key,
      managed: true,
    });
    allocate(tx, sr, volume.virtualSizeBytes);
  });
  return ref;
};

type Introduced = ArgsOf<typeof VDI.messages.introduce>;

/** A disk that is on the storage already gets a row; the storage says what is in it. */
export const introduce = async (working: Working<'VDI'>, args: Introduced): Promise<Ref<'VDI'>> => {
  const { view, services, signal } = working;
  const { SR: sr, location } = args;
  requireReached(working, sr);
  const { uuid: srUuid, VDIs } = view.require('SR', sr);
  if (args.uuid !== '' && view.byUuid('VDI', args.uuid) !== undefined) {
    throw new Fault('DB_UNIQUENESS_CONSTRAINT_VIOLATION', ['VDI', 'uuid', args.uuid]);
  }
  if (VDIs.some((ref) => view.get('VDI', ref)?.location === location)) {
    throw new Fault('LOCATION_NOT_UNIQUE', [sr, location]);
  }
  const ref = newRef<'VDI'>(services);
  const volume = await asking({ sr, vdi: ref, operation: 'vdi_introduce' }, () =>
    services.storage.statVolume(srUuid, location, { debugInfo: 'VDI.introduce', signal }),
  ).catch((error: unknown) => {
    const gone = error instanceof Fault && error.code === 'VDI_MISSING';
    throw gone ? new Fault('VDI_LOCATION_MISSING', [sr, location]) : error;
  });
  working.settle((tx) => {
    const { uuid, ...fields } = args;
    const own = uuid === '' ? uuidFor(tx, volume, working) : uuid;
    tx.create('VDI', ref, { ...fields, ...sizesOf(volume), uuid: own });
    allocate(tx, sr, volume.virtualSizeBytes);
  });
  return ref;
};
