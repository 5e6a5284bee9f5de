// What an agent said of its guest, in the words that toolstacks of Xen know from their own agents. All of
// it is the guest's word: only what has the expected form is taken over, and no more of it than anybody
// needs.
import { membersOf } from '../../../std/reader.ts';

export interface AgentSaid {
  readonly info: unknown;
  readonly system: unknown;
  readonly host: unknown;
  readonly interfaces: unknown;
}

const TEXT_MAX = 256;
const ADDRESSES_MAX = 16;
const INTERFACES_MAX = 256;
const address = /^[0-9a-f.:]{2,45}$/i;

/** `cards`: positions of the guest's network cards by their addresses, in lower case. */
export const agentWords = (
  said: AgentSaid,
  cards: ReadonlyMap<string, number>,
): ReadonlyMap<string, string> =>
  new Map([
    ...versionWords(membersOf(said.info)),
    ...systemWords(membersOf(said.system)),
    ...words('data/host_name', membersOf(said.host)['host-name']),
    ...networkWords(said.interfaces, cards),
  ]);

type Words = readonly (readonly [string, string])[];

/** Without what no screen shows. */
const words = (key: string, value: unknown): Words => {
  const text = typeof value === 'string' ? value.replaceAll(/\p{C}/gu, '').slice(0, TEXT_MAX) : '';
  return text === '' ? [] : [[key, text]];
};

const versionWords = ({ version }: Readonly<Record<string, unknown>>): Words => {
  const [, major = '0', minor = '0', micro = '0'] =
    /^(\d{1,6})\.(\d{1,6})\.(\d{1,6})/.exec(String(version)) ?? [];
  return [
    ['attr/PVAddons/Installed', '1'],
    ['attr/PVAddons/MajorVersion', major],
    ['attr/PVAddons/MinorVersion', minor],
    ['attr/PVAddons/MicroVersion', micro],
    ['attr/PVAddons/BuildVersion', '0'],
  ];
};

const systemWords = (system: Readonly<Record<string, unknown>>): Words => {
  const [, major, minor] = /^(\d{1,6})(?:\.(\d{1,6}))?/.exec(String(system['version-id'])) ?? [];
  return [
    // What lets people in by remote desktop there is a setting, which the agent can change.
    ...(system['id'] === 'mswindows' ? [['control/feature-ts2', '1'] as const] : []),
    ...words('data/os_name', system['pretty-name'] ?? system['name']),
    ...words('data/os_uname', system['kernel-release']),
    ...words('data/os_distro', system['id']),
    ...words('data/os_majorver', major),
    ...words('data/os_minorver', minor),
  ];
};

const networkWords = (interfaces: unknown, cards: ReadonlyMap<string, number>): Words =>
  (Array.isArray(interfaces) ? interfaces.slice(0, INTERFACES_MAX) : []).map(membersOf).flatMap((one) => {
    const card = cards.get(String(one['hardware-address']).toLowerCase());
    const listed = one['ip-addresses'];
    if (card === undefined || !Array.isArray(listed)) return [];
    const addresses = listed.map(membersOf);
    return (['ipv4', 'ipv6'] as const).flatMap((family) =>
      addresses
        .filter((each) => each['ip-address-type'] === family)
        .flatMap((each) => words('', each['ip-address']))
        .filter(([, text]) => address.test(text))
        .slice(0, ADDRESSES_MAX)
        .map(([, text], index) => [`attr/vif/${card}/${family}/${index}`, text] as const),
    );
  });
