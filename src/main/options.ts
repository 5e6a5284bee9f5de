import { tokenOf } from '../pool/invitations.ts';
import { fingerprintOf } from '../pool/join.ts';
import { own } from '../std/own.ts';
import { jsonOf } from '../std/reader.ts';
import { type Environment, readFlags, UsageError } from './flags.ts';

/**
 * One flag of `xenact up`: also an environment variable (`XENACT_HTTP_PORT`) and a key of the config file.
 */
interface Flag {
  /** Absent: the flag is given or not. */
  readonly value?: string;
  readonly doc: string;
  readonly fallback?: string;
}

export const upFlags = {
  data: {
    value: 'DIR',
    doc: 'folder for everything that must survive (default: xenact in the user’s data folder)',
  },
  name: { value: 'NAME', doc: 'name of the pool, at its first start', fallback: 'xenact' },
  listen: { value: 'ADDRESS', doc: 'address to listen on', fallback: '127.0.0.1' },
  'http-port': { value: 'PORT', doc: 'port for HTTP; 0: any free one', fallback: '8080' },
  'https-port': { value: 'PORT', doc: 'port for HTTPS; 0: any free one', fallback: '8443' },
  'nbd-port': {
    value: 'PORT',
    doc: 'port for disks over NBD; 0: any free one, as VDI.get_nbd_info tells it',
    fallback: '0',
  },
  'mesh-port': {
    value: 'PORT',
    doc: 'port for the other hosts of the pool; 0: any free one',
    fallback: '8444',
  },
  join: {
    value: 'URL',
    doc: 'at the first start: join the pool whose coordinator is there, https://HOST:PORT',
  },
  'join-token': { value: 'TOKEN', doc: 'what xenact join-token printed on that coordinator' },
  'join-fingerprint': {
    value: 'SHA256',
    doc: 'of the certificate of that coordinator, where a password is used that is not for this machine',
  },
  'join-user': { value: 'USER', doc: 'account of that pool that may add hosts', fallback: 'root' },
  'join-password': { value: 'PW', doc: 'its password; it is proved and never sent' },
  'commit-replicas': {
    value: 'N',
    doc: 'members that must have a change on disk before it is answered, where as many are there',
    fallback: '1',
  },
  engine: {
    value: 'primary|etcd://A:P,...',
    doc:
      'at the first start of the first host: who keeps the pool’s log, its coordinator or a cluster of ' +
      'etcd with these members',
  },
  'engine-ca': {
    value: 'FILE',
    doc: 'PEM: who signed the certificates of those members; without it they are spoken with in the clear',
  },
  'engine-cert': { value: 'FILE', doc: 'PEM: the certificate to show them' },
  'engine-key': { value: 'FILE', doc: 'PEM: its key' },
  etcd: {
    value: 'PATH',
    doc: 'the program etcd, for hosts that xenact engine makes members of a cluster',
    fallback: 'etcd',
  },
  'edge-members': {
    value: 'redirect|serve',
    doc: 'what a member does with clients: sends them to the coordinator, or serves them itself',
    fallback: 'redirect',
  },
  'allowed-origins': {
    value: 'URL,...',
    doc: 'other sites whose pages may call from a browser, such as https://panel.example (default: none)',
  },
  'host-names': {
    value: 'NAME,...',
    doc: 'names by which browsers call this host, beside its address and the names of the pool; *: any',
  },
  hypervisor: {
    value: 'qemu|sim|unix:PATH',
    doc: 'who runs guests (default: qemu where it is installed, else sim)',
  },
  'guest-kernels': {
    value: 'DIR',
    doc: 'folder of the kernels and RAM disks that guests may boot directly (default: they may none)',
  },
  'guest-users': {
    value: 'FIRST|none',
    doc: 'as root: first of the 65,536 user ids that guests run as; none: they run as root',
    fallback: '131072',
  },
  'sm-dir': {
    value: 'DIR',
    doc: 'folder of storage drivers of SMAPIv1, executables called NAMESR (default: none)',
  },
  'sm-plugins': {
    value: 'NAME,...|all',
    doc: 'which of them count; one that is named stands before our own of the same type',
    fallback: 'all',
  },
  'host-plugins': {
    value: 'DIR',
    doc: 'folder of the executables that host.call_plugin runs (default: none)',
  },
  'xapi-socket': {
    value: 'PATH',
    doc: 'Unix socket of the XenAPI for those drivers and executables (default: xapi in the data folder)',
  },
  'sim-config': { value: 'FILE', doc: 'delays and faults of the simulated hypervisor, a JSON file' },
  'root-password': {
    value: 'PW',
    doc: 'password of root (default at the first start: a new one, printed once)',
  },
  rebuild: {
    doc:
      'start also where the data folder is damaged: what cannot be used is set aside, and a member ' +
      'takes a copy of the database',
  },
  'log-level': { value: 'LEVEL', doc: 'debug, info, warn or error', fallback: 'warn' },
  config: { value: 'FILE', doc: 'a JSON file with any of these, such as {"http-port": 80}' },
} as const satisfies Record<string, Flag>;

export type UpFlag = keyof typeof upFlags;
export type UpOptions = Readonly<Record<UpFlag, string | undefined>>;

export const upHelp = (): string =>
  [
    'Usage: xenact up [FLAG ...]',
    '',
    'Starts this host: a pool of one at the first start, what the data folder holds from then on.',
    '',
    ...Object.entries(upFlags).map(([name, flag]: [string, Flag]) => {
      const fallback = flag.fallback === undefined ? '' : ` (default: ${flag.fallback})`;
      return `  ${`--${name} ${flag.value ?? ''}`.padEnd(34)}${flag.doc}${fallback}`;
    }),
    '',
    'Each flag can also be given as an environment variable, --http-port as XENACT_HTTP_PORT, and in the',
    'config file. The command line wins over the environment, the environment over the file.',
    '',
  ].join('\n');

const fromEnvironment = (environment: Environment, flag: string): string | undefined =>
  own(environment, `XENACT_${flag.toUpperCase().replaceAll('-', '_')}`);

const parsedFile = (text: string, file: string): unknown => {
  try {
    return jsonOf(text);
  } catch (error) {
    throw new UsageError(`The config file ${file} is not JSON: ${(error as Error).message}`);
  }
};

const fromFile = (text: string, file: string): Readonly<Record<string, string>> => {
  const parsed = parsedFile(text, file);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new UsageError(`The config file ${file} must hold one JSON object, such as {"http-port": 80}`);
  }
  const unknown = Object.keys(parsed).find((key) => !Object.hasOwn(upFlags, key));
  if (unknown !== undefined) {
    throw new UsageError(
      `The config file ${file} has the unknown key "${unknown}"; xenact up --help lists the keys`,
    );
  }
  const odd = Object.entries(parsed).find(([, value]) => !['string', 'number'].includes(typeof value));
  if (odd !== undefined) {
    throw new UsageError(`The config file ${file} must give "${odd[0]}" as a text or a number`);
  }
  return Object.fromEntries(Object.entries(parsed).map(([key, value]) => [key, String(value)]));
};

/** What `xenact up` is to do, from the command line, the environment and the config file in this order. */
export const readUpOptions = async (
  args: readonly string[],
  environment: Environment,
  readFile: (path: string) => Promise<string>,
): Promise<UpOptions> => {
  const given = parseFlags(args);
  const configFile = given['config'] ?? fromEnvironment(environment, 'config');
  const file = configFile === undefined ? {} : fromFile(await readConfig(configFile, readFile), configFile);
  const value = (name: string, flag: Flag): string | undefined =>
    own(given, name) ?? fromEnvironment(environment, name) ?? own(file, name) ?? flag.fallback;
  const options = Object.fromEntries(
    Object.entries(upFlags).map(([name, flag]) => [name, value(name, flag)]),
  ) as UpOptions;
  check(options);
  return options;
};

const parseFlags = (args: readonly string[]): Readonly<Record<string, string | undefined>> => {
  const spec = Object.fromEntries(
    Object.entries(upFlags).map(([name, flag]: [string, Flag]) => [
      name,
      { type: flag.value === undefined ? ('boolean' as const) : ('string' as const) },
    ]),
  );
  const { values } = readFlags(args, spec, 'xenact up --help lists the flags.');
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]));
};

const readConfig = async (path: string, readFile: (path: string) => Promise<string>): Promise<string> => {
  try {
    return await readFile(path);
  } catch (error) {
    throw new UsageError(`The config file ${path} cannot be read: ${(error as Error).message}`);
  }
};

const check = (options: UpOptions): void => {
  // An empty folder would be the current one, and an empty address would be all of them.
  const empty = Object.entries(options).find(([, value]) => value === '');
  if (empty !== undefined) throw new UsageError(`--${empty[0]} must not be empty`);
  for (const name of ['http-port', 'https-port', 'nbd-port', 'mesh-port'] as const) {
    const port = Number(options[name]);
    if (!Number.isInteger(port) || port < 0 || port > 65535) {
      throw new UsageError(`--${name} must be a port from 0 to 65535, not "${options[name]}"`);
    }
  }
  const unclear = Object.entries<Flag>(upFlags).find(
    ([name, flag]) =>
      flag.value === undefined && !/^(true|false)$/.test(own<string | undefined>(options, name) ?? 'false'),
  );
  if (unclear !== undefined) throw new UsageError(`${unclear[0]} is true or false`);
  checkPool(options);
  const users = options['guest-users'] ?? '';
  if (users !== 'none' && !(/^\d{4,9}$/.test(users) && Number(users) >= firstUserMin)) {
    throw new UsageError(`--guest-users must be a user id from ${firstUserMin} on, or none, not "${users}"`);
  }
  const hypervisor = options.hypervisor;
  if (hypervisor !== undefined && !/^(qemu|sim|unix:.+)$/.test(hypervisor)) {
    throw new UsageError(
      `--hypervisor must be qemu, sim or unix:PATH of a xenopsd socket, not "${hypervisor}"`,
    );
  }
  if (!['debug', 'info', 'warn', 'error'].includes(options['log-level'] ?? '')) {
    throw new UsageError(`--log-level must be debug, info, warn or error, not "${options['log-level']}"`);
  }
};

/** Ids below are those of people and services. */
const firstUserMin = 65_536;
const replicasMax = 16;

const checkPool = (options: UpOptions): void => {
  const replicas = Number(options['commit-replicas']);
  if (!Number.isInteger(replicas) || replicas < 0 || replicas > replicasMax) {
    throw new UsageError(
      `--commit-replicas must be a number from 0 to ${replicasMax}, not "${options['commit-replicas']}"`,
    );
  }
  if (!['redirect', 'serve'].includes(options['edge-members'] ?? '')) {
    throw new UsageError(`--edge-members must be redirect or serve, not "${options['edge-members']}"`);
  }
  checkJoin(options);
};

const checkJoin = (options: UpOptions): void => {
  const { join, 'join-token': token, 'join-password': password, 'join-fingerprint': fingerprint } = options;
  if (join !== undefined && token === undefined && password === undefined) {
    throw new UsageError(
      '--join needs --join-token, which xenact join-token prints on the coordinator, or --join-password; ' +
        'XENACT_JOIN_TOKEN and XENACT_JOIN_PASSWORD in the environment do as well',
    );
  }
  if (token !== undefined && tokenOf(token) === undefined) {
    throw new UsageError('--join-token is not what xenact join-token prints: copy all of it');
  }
  if (fingerprint !== undefined && fingerprintOf(fingerprint) === undefined) {
    throw new UsageError('--join-fingerprint must be a SHA-256 of 64 hexadecimal digits');
  }
};
