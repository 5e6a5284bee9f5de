import { type Allowed, isAllowed } from '../../../std/allowed.ts';
import { type CpuFeatures, parseFeatures } from '../../../std/cpu-features.ts';
import { membersOf } from '../../../std/reader.ts';
import { type Device, type DeviceName, fixtures } from './devices.ts';
import type { GuestRecord } from './folder.ts';
import type { Accelerator } from './processor.ts';

/** What a guest's emulator was, which the one that it goes on in has to be as well. */
export interface Origin {
  readonly machine: Allowed;
  readonly accelerator: Accelerator;
  /** Of its processor, as the guest saw it. Absent: all that the accelerator had. */
  readonly features?: CpuFeatures;
  /** Where every device was, also those that were plugged while the guest ran. */
  readonly devices: readonly Device[];
}

/** As it is written, which is how `originOf` reads it. */
export const originSaid = ({ machine, accelerator, features, devices }: GuestRecord) => ({
  machine,
  accelerator,
  devices,
  ...(features !== undefined && { features }),
});

const DEVICES_MAX = 300;

/**
 * Checked value by value: it comes from another host or out of storage, and becomes part of a command line.
 */
export const originOf = ({
  machine,
  accelerator,
  devices,
  features,
}: Readonly<Record<string, unknown>>): Origin => {
  const listed =
    Array.isArray(devices) && devices.length <= DEVICES_MAX ? devices.map(deviceOf) : [undefined];
  const known = listed.filter((device) => device !== undefined);
  const isMachine = typeof machine === 'string' && isAllowed('name', machine);
  const isAccelerator = accelerator === 'kvm' || accelerator === 'tcg';
  const words = typeof features === 'string' ? parseFeatures(features) : undefined;
  const isProcessor = features === undefined || words !== undefined;
  if (!isMachine || !isAccelerator || !isProcessor || known.length < listed.length) {
    throw new Error('what came does not say what the guest needs');
  }
  if (new Set(known.map(({ id }) => id)).size < known.length) throw new Error('two devices have one name');
  return { machine, accelerator, devices: known, ...(words && { features: words }) };
};

const PLACES_MAX = 256;

const deviceOf = (value: unknown): Device | undefined => {
  const { key, id, kind, bus: on, place } = membersOf(value);
  const fixture = fixtures.find((one) => one.id === id);
  if (fixture !== undefined) return fixture;
  const name = nameOf(id);
  const isKind = kind === 'disk' || kind === 'cd' || kind === 'vif';
  const isPlaced = Number.isInteger(place) && Number(place) >= 0 && Number(place) < PLACES_MAX;
  const known = (['pci', 'bridge', 'ide', 'scsi'] as const).find((one) => one === on);
  if (name === undefined || typeof key !== 'string' || !isKind || !isPlaced || known === undefined)
    return undefined;
  return { key, id: name, kind, bus: known, place: Number(place) };
};

const nameOf = (id: unknown): DeviceName | undefined => {
  const [, what, position] = /^(vbd|vif)([0-9]{1,4})$/.exec(String(id)) ?? [];
  if (what === undefined) return undefined;
  return what === 'vbd' ? `vbd${Number(position)}` : `vif${Number(position)}`;
};
