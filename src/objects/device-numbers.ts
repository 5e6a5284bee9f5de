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

const buses = { xvd: 'Xen', sd: 'Scsi', fd: 'Floppy', hd: 'Ide' } as const;
const linuxName = /^(xvd|sd|fd|hd)([a-z]*)(\d*)$/;
const position = /^d(\d+)(?:p(\d+))?$/;
/** Disks that a guest with emulated hardware boots from sit on its emulated controller. */
const emulatedMax = 4;

/** What a `userdevice` such as `0`, `xvda` or `hdc2` stands for; undefined if it stands for nothing. */
export const deviceNumberOf = (userdevice: string, hvm: boolean): DeviceNumber | undefined => {
  const named = linuxName.exec(userdevice);
  if (named !== null) {
    const [, prefix = 'xvd', name = '', partition = ''] = named;
    return {
      bus: buses[prefix as keyof typeof buses],
      disk: diskOfName(name),
      partition: Number(partition),
    };
  }
  const placed = position.exec(userdevice);
  if (placed !== null) return { bus: 'Xen', disk: Number(placed[1]), partition: Number(placed[2] ?? 0) };
  if (!/^\d{1,9}$/.test(userdevice)) return undefined;
  const disk = Number(userdevice);
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
  const within = (disk << 4) | (partition & 15);
  if (bus === 'Scsi') return (8 << 8) | within;
  if (bus === 'Floppy') return (203 << 8) | within;
  if (bus === 'Ide') {
    return ((ideMajors[Math.floor(disk / 2)] ?? 0) << 8) | ((disk % 2) << 6) | (partition & 63);
  }
  return disk < extendedDisk ? (202 << 8) | within : (1 << 28) | (disk << 8) | (partition & 255);
};
