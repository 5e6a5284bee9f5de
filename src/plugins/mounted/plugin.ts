import type { OwnFolders } from '../../std/repository-folder.ts';
import type { FilePluginGiven } from '../file/plugin.ts';
import { imagesPlugin } from '../file/plugin.ts';
import type { Place } from '../place.ts';
import { failure, type Methods, type ScriptMethod, textOf, wrapped } from '../script.ts';
import { toolsBy } from '../tools.ts';
import { type Mounts, mountsFolder, mountsOf } from './mounts.ts';

export interface MountedGiven extends FilePluginGiven {
  readonly own: OwnFolders;
}

export interface Mounting extends MountedGiven {
  readonly mounts: Mounts;
  readonly tool: ReturnType<typeof toolsBy>;
}

/** Disk images in a folder that the plugin mounts. */
export const mountedPlugin = (
  given: MountedGiven,
  about: object,
  placeIn: (given: Mounting) => Place,
): Methods => {
  const tool = toolsBy(given.processes);
  const mounts = mountsOf(given.disk, tool, given.own);
  const methods = imagesPlugin(given, about, placeIn({ ...given, mounts, tool }));
  return wrapped(methods, within(given.own));
};

/** A repository that is attached is a folder that this host mounted, and no other. */
const within =
  (own: OwnFolders) =>
  (method: ScriptMethod): ScriptMethod =>
  async (args) => {
    const isOwn = (path: string): boolean =>
      path.startsWith(`${mountsFolder(own)}/`) &&
      /^[0-9a-f-]{36}(\/[0-9a-f-]{36})?$/.test(path.slice(mountsFolder(own).length + 1));
    if (args['sr'] !== undefined && !isOwn(textOf(args, 'sr')))
      throw failure('Not a repository that this plugin has attached', textOf(args, 'sr'));
    return method(args);
  };
