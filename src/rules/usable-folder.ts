import type { Ref } from '../model/types.ts';
import { Fault } from '../std/fault.ts';
import { folderOfHost, folderOrShare, folderRefusal, shareOf } from '../std/repository-folder.ts';
import type { View } from '../store/view.ts';
import type { DeviceConfig } from './device-config.ts';

/**
 * What can be told of a folder before its host is asked, for a repository whose driver keeps it in one. The
 * driver, which sees where links lead, looks again at each use.
 */
export const requireUsableFolder = (view: View, sr: Ref<'SR'>, configuration: DeviceConfig): void => {
  const { type } = view.require('SR', sr);
  const driver = [...view.all('SM')].find(([, sm]) => sm.type === type)?.[1];
  const location = configuration.get('location');
  const declared = driver?.configuration.get('location') ?? '';
  if (location === undefined || ![folderOfHost, folderOrShare].includes(declared)) return;
  if (declared === folderOrShare && shareOf(location) !== undefined) return;
  const refusal = folderRefusal(location);
  if (refusal !== undefined) throw new Fault('SR_BACKEND_FAILURE', [refusal, '', location]);
};
