import { dirname } from 'node:path';

// Archives in the form that Linux unpacks at its start (cpio, "newc").

export interface FileList {
  /** Folders above it are made as well. */
  add(path: string, mode: number, content: Uint8Array): void;
  addFolder(path: string): void;
  bytes(): Uint8Array;
}

const FOLDER = 0o040000;
const FILE = 0o100000;

export const fileList = (): FileList => {
  const parts: Buffer[] = [];
  const folders = new Set(['.']);
  let number = 0;
  const padded = (bytes: Uint8Array): Buffer =>
    Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  const write = (path: string, mode: number, content: Uint8Array): void => {
    number += 1;
    const name = Buffer.from(`${path}\0`);
    const fields = [number, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length, 0];
    const head = fields.map((one) => one.toString(16).padStart(8, '0')).join('');
    parts.push(padded(Buffer.concat([Buffer.from(`070701${head}`), name])), padded(content));
  };
  const addFolder = (path: string): void => {
    if (folders.has(path)) return;
    addFolder(dirname(path));
    folders.add(path);
    write(path, FOLDER | 0o755, new Uint8Array());
  };
  return {
    addFolder,
    add: (path, mode, content) => {
      addFolder(dirname(path));
      write(path, FILE | mode, content);
    },
    bytes: () => {
      write('TRAILER!!!', 0, new Uint8Array());
      return Buffer.concat(parts);
    },
  };
};
