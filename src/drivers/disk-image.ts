import { jsonIn } from '../std/reader.ts';
// A disk image as QEMU and its tools are to open it: every file, its format and what it stands on are said,
// so that nothing is taken from what the files themselves claim.

import { type Allowed, allowed, type Said, said } from '../std/allowed.ts';

export interface DiskImage {
  /** Absolute. */
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  /** The images that it stands on, all qcow2, the next first. */
  readonly backing?: readonly string[];
  /** Others stand on it, so that nobody writes it: it is opened for reading and needs no lock. */
  readonly stoodOn?: true;
  /** There is no file: `path` is the Unix socket of a server that has the bytes under this name, over NBD. */
  readonly exportName?: string;
}

export const BACKING_MAX = 128;

/**
 * The node for `blockdev-add` and for the file names `json:` of QEMU's tools. `named` answers how a file is
 * called where it is opened.
 */
export const imageNode = (
  { path, format, backing = [], stoodOn, exportName }: DiskImage,
  named: (path: string) => string = (same) => same,
  /** What the topmost node is called. */
  node?: Allowed,
): Said => {
  const top = node === undefined ? {} : { 'node-name': node };
  const fileNode = (of: string, isBelow: boolean): Said => fileNodeOf(of, named(of), isBelow);
  const qcow2Node = (of: string, below: Said | null): Said =>
    said({
      driver: 'qcow2',
      file: fileNode(of, true),
      // Said even where there is none: left out, the header would be asked.
      backing: below,
    });
  if (exportName !== undefined)
    return said({ driver: 'raw', ...top, file: exportNode(named(path), exportName) });
  if (format === 'raw') return said({ driver: 'raw', ...top, file: fileNode(path, false) });
  if (backing.length > BACKING_MAX) throw new Error(`${path} stands on more than ${BACKING_MAX} images`);
  const below = backing.reduceRight<Said | null>((under, parent) => qcow2Node(parent, under), null);
  return said({
    driver: 'qcow2',
    ...top,
    ...(stoodOn && { 'read-only': true }),
    file: fileNode(path, stoodOn === true),
    backing: below,
  });
};

// Locking stays on: two guests writing to one disk by mistake would destroy it. What an image stands on is
// written by nobody, but a guest that had it on top keeps its lock for as long as it has inherited the file.
const fileNodeOf = (path: string, filename: string, isBelow: boolean): Said =>
  said({
    driver: isBlockDevice(path) ? 'host_device' : 'file',
    filename: openable('path', filename),
    ...(isBelow && { locking: 'off' }),
  });

const exportNode = (socketPath: string, exportName: string): Said =>
  said({
    driver: 'nbd',
    server: { type: 'unix', path: openable('path', socketPath) },
    export: openable('text', exportName),
  });

const openable = (form: 'path' | 'text', text: string): Allowed =>
  allowed(form, text, (why) => new Error(`${JSON.stringify(text)} cannot be opened: ${why}`));

/** As an argument of `qemu-img`, `qemu-nbd` and their like. */
export const imageArgument = (image: DiskImage): string => `json:${JSON.stringify(imageNode(image))}`;

/** QEMU has one driver for files and one for devices; /dev/shm is the folder of /dev that has files. */
const isBlockDevice = (path: string): boolean => path.startsWith('/dev/') && !path.startsWith('/dev/shm/');

/** What a datapath says of an image beside its format, where the image stands on others. */
export const backingText = (backing: readonly string[]): string => JSON.stringify(backing);

/** Reads `backingText`; undefined when it is none. */
export const backingOf = (text: string): readonly string[] | undefined => {
  const paths = jsonIn(text);
  const isList = Array.isArray(paths) && paths.length <= BACKING_MAX;
  return isList && paths.every((path) => typeof path === 'string' && path.startsWith('/'))
    ? (paths as string[])
    : undefined;
};
