import type { VmState } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { RecordNamed } from '../../src/model/class.ts';
import { fitting } from '../../src/model/sizes.ts';
import { toldByGuest } from '../enums.ts';

type Agent = ReadonlyMap<string, string>;

/** What a guest says beyond the limits of a row is left out. */
const entries = (agent: Agent): readonly (readonly [string, string])[] => [...fitting(toldByGuest, agent)];

const below = (agent: Agent, folder: string): ReadonlyMap<string, string> =>
  new Map(
    entries(agent).flatMap(([key, value]) =>
      key.startsWith(folder) ? [[key.slice(folder.length), value]] : [],
    ),
  );

const picked = (agent: Agent, names: Readonly<Record<string, string>>): ReadonlyMap<string, string> =>
  new Map(
    Object.entries(names).flatMap(([key, name]) => {
      const value = agent.get(key);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );

const osNames = {
  'data/os_name': 'name',
  'data/os_uname': 'uname',
  'data/os_distro': 'distro',
  'data/os_majorver': 'major',
  'data/os_minorver': 'minor',
  'data/os_class': 'class',
} as const;
const driverNames = {
  'attr/PVAddons/MajorVersion': 'major',
  'attr/PVAddons/MinorVersion': 'minor',
  'attr/PVAddons/MicroVersion': 'micro',
  'attr/PVAddons/BuildVersion': 'build',
} as const;
const netbiosNames = { 'data/host_name': 'host_name', 'data/domain': 'domain' } as const;

interface Address {
  readonly card: string;
  readonly family: string;
  readonly index: number;
  readonly value: string;
  /** Told in the form that new agents use, which is believed before the older ones. */
  readonly current: boolean;
}

const addressOf = (path: string, value: string): Address | undefined => {
  const now = /^attr\/vif\/(\d+)\/ipv([46])\/(\d{1,4})$/.exec(path);
  if (now !== null) {
    const [, card = '', family = '', index] = now;
    return { card, family, index: Number(index), value, current: true };
  }
  const old = /^attr\/eth(\d+)\/(?:ip|ipv6\/(\d{1,4})\/addr)$/.exec(path);
  if (old === null) return undefined;
  const [, card = '', index] = old;
  return { card, family: index === undefined ? '4' : '6', index: Number(index ?? 0), value, current: false };
};

const unnumbered = /^attr\/vif\/(\d+)\/ipv([46])\/(?!\d{1,4}$)/;

/**
 * Addresses by card and kind: `0/ip`, `0/ipv4/0`, `0/ipv6/0`. An agent that numbers them by other than
 * numbers is not believed.
 */
export const networksOf = (agent: Agent): ReadonlyMap<string, string> => {
  const disbelieved = new Set(
    entries(agent).flatMap(([path]) => unnumbered.exec(path)?.slice(1).join('/') ?? []),
  );
  const all = entries(agent)
    .flatMap(([path, value]) => addressOf(path, value) ?? [])
    .filter(({ card, family, current }) => !current || !disbelieved.has(`${card}/${family}`))
    .sort((a, b) => a.index - b.index);
  const current = new Set(all.filter((one) => one.current).map(({ card }) => card));
  const found = new Map<string, string>();
  for (const { card, family, index, value, current: told } of all) {
    if (!told && current.has(card)) continue;
    if (family === '4' && !found.has(`${card}/ip`)) found.set(`${card}/ip`, value);
    found.set(`${card}/ipv${family}/${index}`, value);
  }
  return found;
};

const otherPrefixes: readonly string[] = ['control/', 'data/', 'attr/'];
const otherKeys = /^(control\/feature-|data\/(?!os_|host_name|domain|volumes))/;

const otherOf = (agent: Agent): ReadonlyMap<string, string> =>
  new Map(
    entries(agent).flatMap(([key, value]) => {
      if (!otherKeys.test(key)) return [];
      const prefix = otherPrefixes.find((one) => key.startsWith(one)) ?? '';
      const name = key.slice(prefix.length).replaceAll('/', '-');
      return [[name === 'cant_suspend_reason' ? 'data-cant-suspend-reason' : name, value] as const];
    }),
  );

const told = (entries: Agent): Agent => fitting(toldByGuest, entries);

const tristate = (value: string | undefined): 'yes' | 'no' | 'unspecified' => {
  if (value === '1') return 'yes';
  return value === '0' ? 'no' : 'unspecified';
};

type Metrics = Omit<RecordNamed<'VM_guest_metrics'>, 'uuid' | 'last_updated' | 'other_config'>;

/** What the agent says, as a row has it; undefined while no agent has said anything. */
export const guestMetricsOf = (state: VmState): Partial<Metrics> | undefined => {
  const agent = state.guest_agent;
  if (agent.size === 0 && !state.pv_drivers_detected) return undefined;
  return {
    os_version: told(picked(agent, osNames)),
    netbios_name: told(picked(agent, netbiosNames)),
    PV_drivers_version: told(picked(agent, driverNames)),
    PV_drivers_up_to_date: state.pv_drivers_detected,
    PV_drivers_detected: state.pv_drivers_detected,
    networks: told(networksOf(agent)),
    other: told(otherOf(agent)),
    services: told(below(agent, 'data/service/')),
    can_use_hotplug_vbd: tristate(agent.get('control/feature-hotplug-vbd')),
    can_use_hotplug_vif: tristate(agent.get('control/feature-hotplug-vif')),
    live: true,
  };
};
