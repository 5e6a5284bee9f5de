import { intOf, structOf } from '../std/reader.ts';
import { struct, type Value } from '../std/value.ts';

/**
 * What a hypervisor can do for a guest, as its daemon declares it. Everything that tells clients what they
 * may ask for, or refuses it, reads this value.
 */
export interface Capabilities {
  /** Network cards and drives sit at positions from 0 on; this many there are. */
  readonly vifPositions: number;
  readonly vbdPositions: number;
  readonly vcpus: number;
  /** The least with which a guest starts. */
  readonly memoryBytesMin: number;
  readonly uefi: boolean;
  readonly secureBoot: boolean;
  /** Guests may have a TPM. */
  readonly vtpm: boolean;
  readonly floppies: boolean;
  /** The memory of a guest can be changed while it runs. */
  readonly ballooning: boolean;
  /** Several drives may sit at one position of different buses, or of partitions. */
  readonly sharedPositions: boolean;
}

/** What is taken for granted of a daemon that does not say: a xenopsd of a Xen host. */
export const assumedCapabilities: Capabilities = {
  vifPositions: 16,
  vbdPositions: 255,
  vcpus: 1024,
  memoryBytesMin: 0,
  uefi: true,
  secureBoot: true,
  vtpm: true,
  floppies: true,
  ballooning: true,
  sharedPositions: true,
};

const names = Object.keys(assumedCapabilities) as (keyof Capabilities)[];

/** As numbers, in which form they go over the wire and are kept in rows. */
export const capabilityNumbers = (capabilities: Capabilities): ReadonlyMap<string, bigint> =>
  new Map(names.map((name) => [name, BigInt(capabilities[name])]));

/** Whatever is not said is as assumed. */
export const capabilitiesFrom = (numbers: ReadonlyMap<string, bigint>): Capabilities =>
  Object.fromEntries(
    names.map((name) => {
      const assumed = assumedCapabilities[name];
      const said = numbers.get(name);
      if (said === undefined) return [name, assumed];
      return [name, typeof assumed === 'boolean' ? said !== 0n : Number(said)];
    }),
  ) as unknown as Capabilities;

export const capabilitiesValue = (capabilities: Capabilities): Value =>
  struct(Object.fromEntries(capabilityNumbers(capabilities)));

export const capabilitiesOf = (value: Value): Capabilities =>
  capabilitiesFrom(new Map([...structOf(value)].map(([name, number]) => [name, intOf(number, name)])));
