/** What a machine is, as far as it tells: whatever is not known is empty or zero. */
export interface HostFacts {
  readonly hostname: string;
  readonly memoryBytes: bigint;
  /** What could still be given to guests, without what this system itself uses. */
  readonly memoryFreeBytes: bigint;
  /** Milliseconds since 1970; the same until the machine is restarted. */
  readonly bootedAtMs: number;
  /** Kernel and its release, such as `Linux 6.1.0`. */
  readonly system: string;
  /** By the names that the firmware's own tables have for them, such as `system-product-name`. */
  readonly bios: ReadonlyMap<string, string>;
  readonly processors: readonly Processor[];
  readonly cards: readonly NetworkCard[];
  readonly nameServers: readonly string[];
}

/** One logical processor. */
export interface Processor {
  readonly vendor: string;
  readonly model: string;
  readonly speedMhz: number;
  readonly family: number;
  readonly modelNumber: number;
  readonly stepping: string;
  readonly flags: readonly string[];
  /** Physical package and core; two threads of one core share both. */
  readonly socket: number;
  readonly core: number;
}

export interface NetworkCard {
  /** Kernel name, such as `eth0`. */
  readonly device: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  /** Dotted address and mask, empty without one. */
  readonly ip: string;
  readonly netmask: string;
  /** Router of the default route through this card, else empty. */
  readonly gateway: string;
  /** Each with its prefix length. */
  readonly ipv6: readonly string[];
  readonly link: CardLink;
}

/** What a card is and sees; empty and zero where the machine does not tell. */
export interface CardLink {
  readonly carrier: boolean;
  readonly speedMbps: number;
  readonly fullDuplex: boolean;
  /** Four hexadecimal digits, as the PCI has them. */
  readonly vendorId: string;
  readonly deviceId: string;
  /** Such as `0000:00:03.0`. */
  readonly busPath: string;
}

/** Key of `host.other_config` that keeps a disabled host so when Xenact starts again. */
export const keepDisabled = 'xenact:keep_disabled';
