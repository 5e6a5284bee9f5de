import { needsDefaultSr, needsIsoSr, useAsDefaultSr } from '../../actors/pool/default-storage.ts';
import { nullRef, type Ref } from '../model/types.ts';
import { construct } from '../objects/construct.ts';
import type { Assembled } from './assemble.ts';
import type { StorageFolders } from './parts.ts';

/** A first pool can hold disks and CD images at once. */
export const defaultStorage = async (
  given: Assembled,
  folders: StorageFolders | undefined,
): Promise<void> => {
  if (folders === undefined) return;
  const { store, services } = given;
  try {
    if (needsDefaultSr(store.latest)) {
      const about = { name: 'Local storage', description: 'Disk images in a folder of this host' };
      const found = await takenOver(given, folders.disks, about);
      const location = await unusedFolder(folders);
      const sr = found ?? (await create(given, { ...about, location, type: 'file', content: 'user' }));
      await useAsDefaultSr(store, sr);
    }
    if (needsIsoSr(store.latest)) {
      const about = {
        name: 'CD images',
        description: `Put *.iso files into ${folders.images}, then scan`,
        location: folders.images,
      };
      await create(given, { ...about, type: 'iso', content: 'iso' });
    }
  } catch (error) {
    // A host without storage is still of use: the operator sees why and can make an SR elsewhere.
    services.log.error({ error }, 'The default storage could not be made');
  }
};

interface About {
  readonly name: string;
  readonly description: string;
}

const create = (
  { invoker, services }: Assembled,
  about: About & { readonly location: string; readonly type: string; readonly content: string },
): Promise<Ref<'SR'>> =>
  invoker.call('SR.create', nullRef as Ref<'SR'>, {
    host: services.host,
    device_config: new Map([['location', about.location]]),
    physical_size: 0n,
    name_label: about.name,
    name_description: about.description,
    type: about.type,
    content_type: about.content,
    shared: false,
    sm_config: new Map(),
  });

/**
 * The repository in this host's folder, of a pool that it was put out of or whose database is lost, with its
 * disks.
 */
const takenOver = async (
  { invoker, services }: Assembled,
  folder: string,
  { name, description }: About,
): Promise<Ref<'SR'> | undefined> => {
  const device_config = new Map([['location', folder]]);
  const found = await services.storage.probeSr('file', device_config, { debugInfo: 'start' }).catch(() => []);
  const uuid = typeof found === 'string' ? undefined : found.find((one) => one.uuid !== undefined)?.uuid;
  if (uuid === undefined) return undefined;
  const sr = await invoker.call('SR.introduce', nullRef as Ref<'SR'>, {
    ...{ uuid, name_label: name, name_description: description, type: 'file', content_type: 'user' },
    ...{ shared: false, sm_config: new Map<string, string>() },
  });
  const pbd = await construct(invoker, 'PBD', { host: services.host, SR: sr, device_config });
  await invoker.call('PBD.plug', pbd, {});
  await invoker.call('SR.scan', sr, {});
  return sr;
};

/** What else is in a folder stays there. */
const unusedFolder = async ({ disk, disks: folder }: StorageFolders): Promise<string> => {
  for (let number = 1; ; number += 1) {
    const one = number === 1 ? folder : `${folder}-${number}`;
    if (!(await disk.exists(one)) || (await disk.list(one)).length === 0) return one;
  }
};
