import { own } from '../std/own.ts';

/**
 * The releases that brought something to the XenAPI, oldest first, by the name that is written down in
 * declarations, with the product that each was. What came later is told by the version of the toolstack.
 */
export const releases = {
  rio: 'XenServer 4.0',
  miami: 'XenServer 4.1',
  symc: 'XenServer 4.1.1',
  orlando: 'XenServer 5.0',
  'orlando-update-1': 'XenServer 5.0 Update 1',
  george: 'XenServer 5.5',
  'midnight-ride': 'XenServer 5.6',
  cowley: 'XenServer 5.6 FP1',
  boston: 'XenServer 6.0',
  tampa: 'XenServer 6.1',
  clearwater: 'XenServer 6.2',
  'vgpu-tech-preview': 'XenServer 6.2 SP1 Tech-Preview',
  'vgpu-productisation': 'XenServer 6.2 SP1',
  'clearwater-whetstone': 'XenServer 6.2 SP1 Hotfix 11',
  creedence: 'XenServer 6.5',
  cream: 'XenServer 6.5 SP1',
  indigo: 'XenServer 6.5 SP1 Hotfix 31',
  dundee: 'XenServer 7.0',
  ely: 'XenServer 7.1',
  falcon: 'XenServer 7.2',
  inverness: 'XenServer 7.3',
  jura: 'XenServer 7.4',
  kolkata: 'XenServer 7.5',
  lima: 'XenServer 7.6',
  naples: 'Citrix Hypervisor 8.0',
  quebec: 'Citrix Hypervisor 8.1',
  stockholm: 'Citrix Hypervisor 8.2',
  stockholm_psr: 'Citrix Hypervisor 8.2 Hotfix 2',
} as const;

export type Release = keyof typeof releases | `${number}.${number}.${string}`;

/** The release that first had a class, and those that added fields and messages to it. */
export type Since = Release | ClassReleases;
export interface ClassReleases {
  readonly release: Release;
  /** Names of what came after the class. */
  readonly later: Readonly<Partial<Record<Release, readonly string[]>>>;
}

/** The release that first had a class, or its field or message of the given name. */
export const releaseOf = (since: Since, name?: string): Release => {
  if (typeof since === 'string') return since;
  const found = Object.entries(since.later).find(([, names]) => names?.includes(name ?? ''));
  return (found?.[0] as Release | undefined) ?? since.release;
};

/** For people: `XenServer 7.1`, or the version where it is no named release. */
export const productOf = (release: Release): string => own<string>(releases, release) ?? release;
