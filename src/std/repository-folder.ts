/** Xenact's own folders on a host, without links. */
export interface OwnFolders {
  readonly data: string;
  /** Sockets and what is attached; in the data folder or outside it. */
  readonly run: string;
}

/** How a storage plugin declares, of its configuration's `location`, that it is a folder of the host. */
export const folderOfHost = 'absolute path of the folder';

/** The same, where it may be a share of another machine as well. */
export const folderOrShare = 'absolute path of the folder, //server/share of SMB, or server:/path of NFS';

/** What a `location` that is no folder of the host names. */
export interface Share {
  readonly type: 'cifs' | 'nfs';
  readonly server: string;
  readonly path: string;
}

export const shareOf = (location: string): Share | undefined => {
  const [, server = '', path = ''] = /^(?:\/\/|\\\\)([^/\\]+)[/\\]([^/\\].*)$/.exec(location) ?? [];
  if (server !== '') return { type: 'cifs', server, path: path.replaceAll('\\', '/') };
  const [, host = '', exported = ''] = /^(\[[^\]/]+\]|[^/:[\]]+):(\/.*)$/.exec(location) ?? [];
  return host === '' ? undefined : { type: 'nfs', server: host, path: exported };
};

const PATH_CHARS_MAX = 2_048;

/** Folders of the system whose files are devices, settings or what boots it. */
const systemFolders: readonly string[] = ['/boot', '/dev', '/etc', '/proc', '/run', '/sys', '/var/run'];

/** What Xenact keeps disks and CD images in when nobody says where. */
const ownRepository = /^(sr(-[1-9]\d{0,5})?|iso)$/;

/** Whether a folder of Xenact's own, by its name, is one for disks. */
export const isOwnRepository = (name: string): boolean => ownRepository.test(name);

const isIn = (folder: string, path: string): boolean => path === folder || path.startsWith(`${folder}/`);

/**
 * Why a folder of a host may not be a storage repository, in words; undefined where it may. By the path
 * alone: who opens the folder asks with the path that all links lead to.
 */
export const folderRefusal = (path: string, own?: OwnFolders): string | undefined => {
  if (path.length > PATH_CHARS_MAX || /\p{Cc}/u.test(path)) return 'The location is not a usable path';
  if (!path.startsWith('/') || path.replaceAll('/', '') === '')
    return 'The location must be an absolute path below /';
  if (path.split('/').some((part) => part === '.' || part === '..'))
    return 'The location must be an absolute path without . and ..';
  const plain = plainFolder(path);
  if (own !== undefined) {
    const { data, run } = own;
    if (plain.startsWith(`${data}/`) && ownRepository.test(plain.slice(data.length + 1))) return undefined;
    if (isIn(data, plain) || isIn(run, plain))
      return 'The location is in a folder that Xenact keeps its own files in; choose another folder';
  }
  const system = systemFolders.find((folder) => isIn(folder, plain));
  return system === undefined ? undefined : `The location is in ${system}; choose a folder for disks`;
};

/** The same folder without repeated and trailing slashes. */
export const plainFolder = (path: string): string => path.replace(/\/{2,}/g, '/').replace(/\/$/, '');
