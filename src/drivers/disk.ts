/**
 * Files of this host. Paths are absolute. Errors are the system's own, with `code` (`ENOENT`, `ENOSPC`, ...).
 */
export interface Disk {
  readText(path: string, bytesMax: number): Promise<string>;
  /**
   * Replaces the file as a whole: a reader or a crash sees the old one or the new one. Synced before it
   * resolves.
   */
  replaceText(path: string, text: string, mode?: number): Promise<void>;
  list(
    folder: string,
  ): Promise<readonly { readonly name: string; readonly kind: 'file' | 'folder' | 'other' }[]>;
  makeFolder(path: string, mode?: number): Promise<void>;
  remove(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Where all links lead; undefined where nothing is. */
  realPath(path: string): Promise<string | undefined>;
  isExecutable(path: string): Promise<boolean>;
  /** Free and total bytes of the file system that holds the path. */
  space(path: string): Promise<{ readonly freeBytes: bigint; readonly totalBytes: bigint }>;
  open(path: string, how: 'read' | 'write'): Promise<OpenFile>;
  /**
   * Opens what `name` names in a folder, by a path from there or an absolute one. Follows no link below the
   * folder, and opens nothing but a regular file: `NotWithin`, ELOOP or EINVAL otherwise.
   */
  openWithin(folder: string, name: string, how: 'read' | 'write'): Promise<OpenFile>;
  /** Whose it is, and its permission bits. Of a link: of the link. */
  ownerOf(path: string): Promise<Owner & { readonly mode: number }>;
  /** Makes it somebody else's, with these permission bits. Refuses a link. */
  give(path: string, to: Owner, mode: number): Promise<void>;
}

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface OpenFile {
  readonly sizeBytes: bigint;
  read(into: Uint8Array, position: bigint): Promise<number>;
  write(from: Uint8Array, position: bigint): Promise<void>;
  /** Cuts a file, or extends it with zeros. */
  truncate(sizeBytes: bigint): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}
