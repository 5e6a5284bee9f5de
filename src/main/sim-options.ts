import { type Environment, readFlags, UsageError } from './flags.ts';

interface Flag {
  readonly value: string;
  readonly doc: string;
  readonly fallback?: string;
}

export const simFlags = {
  hosts: { value: 'N', doc: 'hosts of the pool, 1 to 256', fallback: '4' },
  vms: { value: 'N', doc: 'VMs, halted at first, up to 20000', fallback: '100' },
  srs: { value: 'N', doc: 'repositories that all hosts share, up to 64', fallback: '2' },
  seed: {
    value: 'TEXT',
    doc: 'names, references and uuids follow from it: the same seed, the same pool',
    fallback: '1',
  },
  latency: {
    value: 'MS|MIN-MAX',
    doc: 'how long each operation of a hypervisor or of storage takes, in milliseconds',
    fallback: '0',
  },
  faults: { value: 'FILE', doc: 'calls that fail or are slow, and hosts that go down, a JSON file' },
  listen: { value: 'ADDRESS', doc: 'address to listen on', fallback: '127.0.0.1' },
  'http-port': { value: 'PORT', doc: 'port for HTTP; 0: any free one', fallback: '8080' },
  'https-port': { value: 'PORT', doc: 'port for HTTPS; 0: any free one', fallback: '8443' },
  'nbd-port': {
    value: 'PORT',
    doc: 'port for disks over NBD; 0: any free one, as VDI.get_nbd_info tells it',
    fallback: '0',
  },
  'root-password': { value: 'PW', doc: 'password of root (default: a new one, printed)' },
  'log-level': { value: 'LEVEL', doc: 'debug, info, warn or error', fallback: 'warn' },
} as const satisfies Record<string, Flag>;

export type SimFlag = keyof typeof simFlags;

export interface SimCommandOptions {
  readonly size: { readonly hosts: number; readonly vms: number; readonly srs: number };
  readonly seed: string;
  readonly latencyMs: readonly [least: number, most: number];
  readonly faults: string | undefined;
  readonly listen: string;
  readonly 'http-port': string;
  readonly 'https-port': string;
  readonly 'nbd-port': string;
  readonly rootPassword: string | undefined;
  readonly logLevel: string;
}

export const hostsMax = 256;
export const vmsMax = 20_000;
export const srsMax = 64;
const latencyMsMax = 3_600_000;

export const simHelp = (): string =>
  [
    'Usage: xenact sim [FLAG ...]',
    '',
    'Serves a simulated pool of many hosts from this process, for people who write clients. The API, its',
    'rules and its events are the real ones; guests and disks are made up and nothing is kept.',
    '',
    ...Object.entries(simFlags).map(([name, flag]: [string, Flag]) => {
      const fallback = flag.fallback === undefined ? '' : ` (default: ${flag.fallback})`;
      return `  ${`--${name} ${flag.value}`.padEnd(24)}${flag.doc}${fallback}`;
    }),
    '',
    'The password can also be given as XENACT_ROOT_PASSWORD in the environment.',
    '',
    'FILE holds rules and outages; of a rule all but "method" and one of "error" and "delayMs" may be ' +
      'left out:',
    '',
    '  {"rules": [{"method": "VM.start", "host": "host-02", "error": ["SR_BACKEND_FAILURE_46", "", ' +
      '"gone", ""],',
    '              "probability": 0.1, "after": 3, "times": 5, "delayMs": 5000}],',
    '   "hosts": [{"host": "host-03", "downAtS": 30, "upAtS": 90}]}',
    '',
    'While it runs, POST /sim/hosts/NAME/down or /up, /sim/vms/UUID/poweroff, /reboot or /crash, and ' +
      '/sim/faults',
    'with new rules; GET /sim tells how things are. These take HTTP Basic or ?session_id= of a pool-admin.',
    '',
  ].join('\n');

/** What `xenact sim` is to do. */
export const readSimOptions = (args: readonly string[], environment: Environment = {}): SimCommandOptions => {
  const given = parseFlags(args);
  const value = (name: SimFlag): string => given[name] ?? (simFlags[name] as Flag).fallback ?? '';
  const empty = Object.entries(given).find(([, one]) => one === '');
  if (empty !== undefined) throw new UsageError(`--${empty[0]} must not be empty`);
  const level = value('log-level');
  if (!['debug', 'info', 'warn', 'error'].includes(level)) {
    throw new UsageError(`--log-level must be debug, info, warn or error, not "${level}"`);
  }
  return {
    size: {
      hosts: numberOf('hosts', value('hosts'), 1, hostsMax),
      vms: numberOf('vms', value('vms'), 0, vmsMax),
      srs: numberOf('srs', value('srs'), 0, srsMax),
    },
    seed: value('seed'),
    latencyMs: latencyOf(value('latency')),
    faults: given['faults'],
    listen: value('listen'),
    'http-port': String(numberOf('http-port', value('http-port'), 0, 65_535)),
    'https-port': String(numberOf('https-port', value('https-port'), 0, 65_535)),
    'nbd-port': String(numberOf('nbd-port', value('nbd-port'), 0, 65_535)),
    // Other users of the machine see command lines.
    rootPassword: given['root-password'] ?? environment['XENACT_ROOT_PASSWORD'],
    logLevel: level,
  };
};

const parseFlags = (args: readonly string[]): Partial<Record<SimFlag, string>> => {
  const spec = Object.fromEntries(Object.keys(simFlags).map((name) => [name, { type: 'string' as const }]));
  return readFlags(args, spec, 'xenact sim --help lists the flags.').values as Partial<
    Record<SimFlag, string>
  >;
};

const numberOf = (flag: SimFlag, text: string, least: number, most: number): number => {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= least && number <= most) return number;
  throw new UsageError(`--${flag} must be a number from ${least} to ${most}, not "${text}"`);
};

const latencyOf = (text: string): readonly [number, number] => {
  const [, least = '', most = least] = /^(\d+)(?:-(\d+))?$/.exec(text) ?? [];
  const range = [Number(least), Number(most)] as const;
  if (least !== '' && range[0] <= range[1] && range[1] <= latencyMsMax) return range;
  throw new UsageError(`--latency must be milliseconds such as 20, or a range such as 5-50, not "${text}"`);
};
