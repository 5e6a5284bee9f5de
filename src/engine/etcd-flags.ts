import { refusal } from './refusal.ts';

/** A member of the pool's own cluster, as its process is started. */
export interface Member {
  /** The uuid of the host's reference: letters, digits and hyphens. */
  readonly name: string;
  readonly address: string;
  readonly clientPort: number;
  readonly peerPort: number;
  /** Of this cluster alone, so that members of two clusters never take each other for their own. */
  readonly token: string;
  /** All members that there are as this one starts for the first time, itself among them. */
  readonly initial: readonly InitialMember[];
  readonly joins: 'new' | 'existing';
}

export interface InitialMember {
  readonly name: string;
  readonly peerUrl: string;
}

/** Where etcd finds its files. Absolute. */
export interface MemberFiles {
  readonly data: string;
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

/** Where members listen unless somebody says otherwise: etcd's own ports. */
export const clientPortDefault = 2_379;
export const peerPortDefault = 2_380;

/** What one transaction and one request of a cluster of ours may hold. */
export const operationsMax = 16_384;
export const requestBytesMax = 10 * 1_048_576;
/** At this size the cluster takes no more. */
export const quotaBytesMax = 4 * 1_073_741_824;
/** Members beyond seven make every write slower and survive nothing more that is likely. */
export const membersMax = 7;

/**
 * The common name in a member's certificate. Other hosts are clients, and their certificates make no peers.
 */
export const memberCommonName = 'xenact-member';
export const clientCommonName = 'xenact-client';

const nameRule = /^[A-Za-z0-9][A-Za-z0-9-]{0,63}$/;
const peerUrlRule = /^https:\/\/(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]):\d{1,5}$/i;

/** Of version 4 or 6, as a URL can hold it. */
const isAddress = (text: string): boolean => {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return text.split('.').every((part) => Number(part) <= 255);
  return text.includes(':') && /^[0-9a-f:.]+$/i.test(text) && URL.canParse(`https://[${text}]`);
};

const inUrl = (address: string): string => (address.includes(':') ? `[${address}]` : address);
const urlOf = (address: string, port: number): string => `https://${inUrl(address)}:${port}`;

export const peerUrlOf = ({ address, peerPort }: Pick<Member, 'address' | 'peerPort'>): string =>
  urlOf(address, peerPort);
export const clientUrlOf = ({ address, clientPort }: Pick<Member, 'address' | 'clientPort'>): string =>
  urlOf(address, clientPort);

/** Of a member's URL, as clients name it: `address:port`. */
export const endpointOf = (url: string): string => new URL(url).host;

/** Everything on etcd's command line comes through here. Throws where a value is not what it should be. */
export const checkedMember = (member: Member): Member => {
  const { name, address, clientPort, peerPort, token, initial, joins } = member;
  const isPort = (port: number): boolean => Number.isInteger(port) && port >= 1 && port <= 65_535;
  if (!isAddress(address) || /^(0\.0\.0\.0|[0:]+)$/.test(address))
    throw refusal(`etcd needs an address that other hosts reach, and ${JSON.stringify(address)} is none`);
  if (!isPort(clientPort) || !isPort(peerPort) || clientPort === peerPort)
    throw refusal('etcd needs two different ports from 1 to 65535: --client-port and --peer-port');
  const whole =
    nameRule.test(name) &&
    nameRule.test(token) &&
    initial.length <= membersMax + 1 &&
    initial.every((one) => nameRule.test(one.name) && peerUrlRule.test(one.peerUrl)) &&
    initial.some((one) => one.name === name) &&
    (joins === 'new' || joins === 'existing');
  if (!whole) throw refusal('What a member of the cluster was to be started with is not what it should be');
  return member;
};

/** The command line of a member. */
export const etcdFlags = (
  given: Member,
  files: MemberFiles,
  quotaBytes: number = quotaBytesMax,
): readonly string[] => {
  const member = checkedMember(given);
  const { name, token, initial, joins } = member;
  return [
    ...['--name', name, '--data-dir', files.data],
    ...['--listen-client-urls', clientUrlOf(member), '--advertise-client-urls', clientUrlOf(member)],
    ...['--listen-peer-urls', peerUrlOf(member), '--initial-advertise-peer-urls', peerUrlOf(member)],
    ...['--initial-cluster', initial.map((one) => `${one.name}=${one.peerUrl}`).join(',')],
    ...['--initial-cluster-state', joins, '--initial-cluster-token', token],
    ...['--client-cert-auth', '--trusted-ca-file', files.authority],
    ...['--cert-file', files.certificate, '--key-file', files.key],
    ...['--peer-client-cert-auth', '--peer-trusted-ca-file', files.authority],
    ...['--peer-cert-file', files.certificate, '--peer-key-file', files.key],
    ...['--peer-cert-allowed-cn', memberCommonName],
    // Peers are known by their certificates; from which of its addresses a host speaks is its own affair.
    '--experimental-peer-skip-client-san-verification',
    // A host that was cut off does not depose a leader as it comes back.
    ...['--pre-vote', '--strict-reconfig-check'],
    ...['--heartbeat-interval', '100', '--election-timeout', '1000'],
    ...['--max-txn-ops', `${operationsMax}`, '--max-request-bytes', `${requestBytesMax}`],
    ...['--quota-backend-bytes', `${quotaBytes}`],
    ...['--auto-compaction-mode', 'periodic', '--auto-compaction-retention', '10m'],
    // Version 3.4 keeps ten times as many large groups in memory by default.
    ...['--snapshot-count', '10000'],
    ...['--experimental-initial-corrupt-check', '--experimental-corrupt-check-time', '1h'],
    ...['--enable-grpc-gateway=false', '--logger', 'zap', '--log-level', 'warn', '--log-outputs', 'stderr'],
  ];
};

const versionRule = /^etcd Version: (\d+)\.(\d+)\.(\d+)/m;

/** The version that `etcd --version` printed. Throws for one that this code does not know how to start. */
export const etcdVersionOf = (printed: string): string => {
  const found = versionRule.exec(printed);
  if (found === null) throw refusal('The program does not say that it is etcd: give another with --etcd');
  const [major = 0, minor = 0, patch = 0] = found.slice(1).map(Number);
  const version = `${major}.${minor}.${patch}`;
  const known = major === 3 && minor >= 4 && minor <= 6 && (minor > 4 || patch >= 23);
  if (!known)
    throw refusal(
      `etcd ${version} is not known here: install 3.4.23 to 3.6 (Debian: etcd-server), or name one ` +
        `with --etcd`,
    );
  return version;
};
