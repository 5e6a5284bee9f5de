import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Disk } from '../../drivers/disk.ts';
import { backingText } from '../../drivers/disk-image.ts';
import type { FileLocks } from '../../drivers/file-lock.ts';
import { formatOf, foundImages, isImage } from '../file/chain.ts';
import { turnsIn } from '../file/turns.ts';
import { heldMark } from '../held.ts';
import { always, failure, type Methods, nothing, ofOurs, textOf } from '../script.ts';

export interface ImageDatapathGiven {
  readonly disk: Disk;
  readonly locks: FileLocks;
  /** Which host this is, among those that may have the folder. */
  readonly host: string;
}

/**
 * Datapath of image files, for the URI schemes `raw+file` and `qcow2+file`: who uses one opens the file
 * itself, so there is nothing to start, only to say where it is and to note that somebody may write it.
 */
export const imageDatapath = ({ disk, locks, host }: ImageDatapathGiven): Methods => ({
  'Plugin.query': always(about),
  'Datapath.attach': async (args) => {
    const { path, format } = imageOf(textOf(args, 'uri'));
    const folder = dirname(path);
    const found = (): Promise<readonly string[]> => foundImages(disk, folder).chainOf(basename(path));
    const mark = (): Promise<void> => disk.replaceText(heldMark(path, host), `${textOf(args, 'domain')}\n`);
    // Nobody puts another image in its place from when it is marked, so what is found then is what there is.
    const [, ...backing] = isOfSr(path)
      ? await turnsIn(locks, folder).working(async () => {
          const images = await found();
          await mark();
          return images;
        })
      : await found();
    const below = backing.length > 0 && {
      backing: backingText(backing.map((parent) => join(folder, parent))),
    };
    const image = ['XenDisk', { backend_type: 'vbd', params: path, extra: { format, ...below } }];
    // A file that is called File holds the disk's bytes and nothing else.
    return { implementations: format === 'raw' ? [image, ['File', { path }]] : [image] };
  },
  'Datapath.activate': nothing,
  'Datapath.activate_readonly': nothing,
  'Datapath.deactivate': nothing,
  'Datapath.detach': async (args) => {
    const held = heldMark(imageOf(textOf(args, 'uri')).path, host);
    if (await disk.exists(held)) await disk.remove(held);
  },
});

const imageOf = (uri: string): { readonly path: string; readonly format: string } => {
  const [, format, location] = /^(raw|qcow2)\+(file:\/\/\/.+)$/.exec(uri) ?? [];
  if (format === undefined || location === undefined || !URL.canParse(location)) {
    throw failure('Not an image file that this datapath serves', uri);
  }
  const path = fileURLToPath(location);
  // What a file is called is what it is: a raw one may begin as an image does, by whoever fills the disk.
  if (formatOf(path) !== format) throw failure(`Not a ${format} image`, uri);
  return { format, path };
};

/** Only images that plugins of ours made change place; a folder of ISO images is not to be written to. */
const isOfSr = (path: string): boolean => isImage(basename(path));

const about = {
  plugin: 'image',
  name: 'Image files',
  description: 'Hands out image files as they are',
  ...ofOurs,
  features: [],
  configuration: {},
};
