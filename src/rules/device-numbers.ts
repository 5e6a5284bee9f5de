import { integerOf } from '../std/integers.ts';

/** Where a disk sits on a bus of the guest, as a number of its position says it. */
export interface DeviceNumber {
  readonly bus: 'Xen' | 'Scsi' | 'Floppy' | 'Ide';
  /** 0 is the first disk. */
  readonly disk: number;
  /** 0 is the whole disk. */
  readonly partition: number;
}

const letterA = 97;
const letters = 26;

/** `a` is 0, `z` 25, `aa` 26; no letter at all comes out as -1. */
const diskOfName = (name: string): number =>
  [...name].reduce((sum, letter) => sum * letters + letter.charCodeAt(0) - letterA + 1, 0) - 1;

const nameOfDisk = (disk: number): string =>
  disk < letters
    ? String.fromCharCode(letterA + disk)
    : nameOfDisk(Math.floor(disk / letters) - 1) + String.fromCharCode(letterA + (disk % letters));

const buses = new Map([
  ['xvd', 'Xen'],
  ['sd', 'Scsi'],
  ['fd', 'Floppy'],
  ['hd', 'Ide'],
] as const);
const linuxName = /^(xvd|sd|fd|hd)([a-z]*)(\d*)$/;
const position = /^d(\d+)(?:p(\d+))?$/;
/** As many as a number in xenstore tells apart. */
const disksMax = 1 << 20;
/** Disks that a guest with emulated hardware boots from sit on its emulated controller. */
const emulatedMax = 4;

/** What a `userdevice` such as `0`, `xvda` or `hdc2` stands for; undefined if it stands for nothing. */
export const deviceNumberOf = (userdevice: string, hvm: boolean): DeviceNumber | undefined => {
  const named = linuxName.exec(userdevice);
  if (named !== null) {
    const [, prefix = 'xvd', name = '', partition = ''] = named;
    return {
      bus: buses.get(prefix as 'xvd') ?? 'Xen',
      disk: diskOfName(name),
      partition: Number(partition),
    };
  }
  const placed = position.exec(userdevice);
  if (placed !== null) return { bus: 'Xen', disk: Number(placed[1]), partition: Number(placed[2] ?? 0) };
  const disk = Number(integerOf(userdevice) ?? -1n);
  if (disk < 0 || disk >= disksMax) return undefined;
  return { bus: hvm && disk < emulatedMax ? 'Ide' : 'Xen', disk, partition: 0 };
};

/** The name that a Linux guest gives the disk; it is also the key by which the hypervisor knows the drive. */
export const linuxDevice = ({ bus, disk, partition }: DeviceNumber): string => {
  const prefix = bus === 'Scsi' ? 'sd' : bus === 'Floppy' ? 'fd' : 'xvd';
  return prefix + nameOfDisk(disk) + (partition === 0 ? '' : partition);
};

const ideMajors = [3, 22, 33, 34, 56, 57, 88, 89, 90, 91] as const;
const extendedDisk = 16;

/** The number of the drive in xenstore. */
export const xenstoreKey = ({ bus, disk, partition }: DeviceNumber): number => {
  const [at, part] = [BigInt(disk), BigInt(partition)];
  const within = (at << 4n) | part;
  if (bus === 'Scsi') return Number((8n << 8n) | within);
  if (bus === 'Floppy') return Number((203n << 8n) | within);
  if (bus === 'Ide') {
    const major = BigInt(ideMajors[Math.floor(disk / 2)] ?? 0);
    return Number((major << 8n) | ((at % 2n) << 6n) | part);
  }
  return Number(disk < extendedDisk ? (202n << 8n) | within : (1n << 28n) | (at << 8n) | part);
};
