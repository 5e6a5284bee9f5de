import { guestAgent } from '../daemons/xenopsd/sim-agent.ts';
import type { Kept, Vbd, Vif, VmState, XenopsMetadata } from '../drivers/hypervisor/hypervisor.ts';

/** One VM as a simulated host knows it. */
export interface SimulatedGuest {
  metadata: XenopsMetadata;
  power: VmState['power_state'];
  domid: number;
  /** Seconds since 1970. */
  startTime: number;
  memory: bigint;
  vcpus: number;
  xsdata: ReadonlyMap<string, string>;
  kept: Kept;
  readonly vbds: Map<string, Vbd>;
  readonly vifs: Map<string, Vif>;
  /** Keys of devices that the guest has now. */
  readonly plugged: Set<string>;
}

export const newGuest = (metadata: XenopsMetadata): SimulatedGuest => ({
  metadata,
  power: metadata.domains === undefined ? 'Halted' : 'Suspended',
  domid: -1,
  startTime: 0,
  memory: 0n,
  vcpus: 0,
  xsdata: metadata.vm.xsdata,
  kept: new Map(),
  ...devicesOf(metadata),
  plugged: new Set(),
});

export const devicesOf = ({ vbds, vifs }: XenopsMetadata): Pick<SimulatedGuest, 'vbds' | 'vifs'> => ({
  vbds: new Map(vbds.map((vbd) => [vbd.id[1], vbd])),
  vifs: new Map(vifs.map((vif) => [vif.id[1], vif])),
});

export const isLive = ({ power }: SimulatedGuest): boolean => power === 'Running' || power === 'Paused';

/** Guests of this simulation also take processors while they run. */
const agent: ReadonlyMap<string, string> = new Map([...guestAgent, ['control/feature-vcpu-hotplug', '1']]);

const none: ReadonlyMap<string, string> = new Map();

export const stateOf = (guest: SimulatedGuest, addresses: ReadonlyMap<string, string>): VmState => {
  const { metadata, domid, memory, power } = guest;
  const { vm } = metadata;
  const live = isLive(guest);
  return {
    power_state: power,
    domids: live ? [domid] : [],
    consoles: live ? [{ protocol: 'Vt100', port: 0, path: `/consoles/${vm.id}` }] : [],
    memory_target: live ? memory : 0n,
    memory_actual: live ? memory : 0n,
    memory_limit: live ? vm.memory_static_max : 0n,
    vcpu_target: live ? guest.vcpus : 0,
    guest_agent: power === 'Running' ? new Map([...agent, ...addresses]) : none,
    xsdata_state: guest.xsdata,
    pv_drivers_detected: power === 'Running',
    last_start_time: live ? guest.startTime : 0,
    hvm: vm.boot.type === 'HVM',
    nomigrate: vm.platformdata.get('nomigrate') === 'true',
    nested_virt: vm.platformdata.get('nested-virt') === 'true',
    domain_type: live ? `Domain_${vm.boot.type}` : 'Domain_undefined',
    rtc_timeoffset: vm.boot.type === 'HVM' ? vm.boot.timeoffset : '',
    featureset: '',
  };
};

/** Each card has an address of its own in 10.0.0.0/8, which follows from its MAC. */
export const addressesOf = ({ vifs }: SimulatedGuest): ReadonlyMap<string, string> =>
  new Map(
    [...vifs].map(([device, { mac }]) => {
      const parts = mac
        .split(':')
        .slice(3)
        .map((part) => Number.parseInt(part, 16) || 0);
      return [`attr/vif/${device}/ipv4/0`, ['10', ...parts].join('.')];
    }),
  );
