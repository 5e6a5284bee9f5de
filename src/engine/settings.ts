import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Disk } from '../drivers/disk.ts';
import type { Ref } from '../model/types.ts';
import { inTurns } from '../std/in-turns.ts';
import { jsonOf } from '../std/reader.ts';
import { UnusableError } from '../std/unusable.ts';
import { checkedMember, type Member } from './etcd-flags.ts';

// What a host knows of the pool's cluster, in a folder of its own: how it is reached, and what runs here.

export interface EngineSettings {
  /** Which engine keeps the pool's log; absent: primary. */
  readonly use?: LogEngine;
  /** The log is on its way to another engine. */
  readonly move?: EngineMove | undefined;
  /** How this host reaches the cluster; absent where the pool has none of its own. */
  readonly cluster?: ClusterAccess;
  /** The member that runs here. */
  readonly member?: OwnMember;
}

export type LogEngine = 'primary' | 'etcd';

export interface EngineMove {
  readonly to: LogEngine;
  /** The coordinator that makes it. */
  readonly by: Ref<'host'>;
  readonly step: (typeof moveSteps)[number];
}

/** What a host says of the engine that it has. */
export interface EngineAnswer {
  readonly use: LogEngine;
  readonly move: EngineMove | undefined;
}

export const answerOf = ({ store }: { readonly store: Pick<EngineStore, 'current'> }): EngineAnswer => ({
  use: store.current.use ?? 'primary',
  move: store.current.move,
});

export const moveSteps = ['prepared', 'ended', 'begun', 'switched'] as const;

export interface ClusterAccess {
  /** The uuid of the pool whose log may be there: a host that is new has no row that says it. */
  readonly pool: string;
  /** `address:port` of each member. */
  readonly endpoints: readonly string[];
  /** False while it is being made: nothing relies on it yet. */
  readonly whole: boolean;
  /** Not looked after here: a start said how it is reached, and each host shows the same certificate. */
  readonly given?: true;
  /** This host begins the pool's log there with what it has; until it did. */
  readonly begins?: true;
  /** Id of the cluster, once the log was seen there, as etcdctl shows it: no other is used in its place. */
  readonly id?: string;
}

export interface OwnMember extends Member {
  /**
   * It was part of the cluster. From then on one without its data is never started: it would vote and not
   * know.
   */
  readonly started: boolean;
}

/** PEM, each in a file of its own, as etcd reads them there. */
export interface TlsFiles {
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
  /** Of the authority; members have it, so that any of them lets hosts in. */
  readonly authorityKey?: string;
}

/** Of a cluster that is spoken with in the clear. */
export const openCredentials: TlsFiles = { authority: '', certificate: '', key: '' };

export interface EngineFiles {
  readonly folder: string;
  readonly settings: string;
  readonly authority: string;
  readonly authorityKey: string;
  readonly certificate: string;
  readonly key: string;
  /** Of the member. */
  readonly data: string;
  readonly log: string;
  readonly pid: string;
  readonly ballast: string;
  readonly snapshots: string;
}

export const engineFiles = (folder: string): EngineFiles => ({
  folder,
  settings: join(folder, 'engine.json'),
  authority: join(folder, 'authority.pem'),
  authorityKey: join(folder, 'authority-key.pem'),
  certificate: join(folder, 'certificate.pem'),
  key: join(folder, 'certificate-key.pem'),
  data: join(folder, 'etcd'),
  log: join(folder, 'etcd.log'),
  pid: join(folder, 'etcd.pid'),
  ballast: join(folder, 'ballast'),
  snapshots: join(folder, 'snapshots'),
});

export interface EngineStore {
  readonly current: EngineSettings;
  /** One change after the other, each of what the last one left. Resolves once it is on disk. */
  change(next: (now: EngineSettings) => EngineSettings): Promise<void>;
  credentials(): Promise<TlsFiles>;
  saveCredentials(credentials: TlsFiles): Promise<void>;
  /** Forgets how the cluster is reached, and removes what a member left here. */
  forget(): Promise<void>;
  /** Told when the members of the cluster are others. */
  onEndpoints(told: () => void): void;
  readonly files: EngineFiles;
}

const fileBytesMax = 1 << 16;

export const openEngineStore = async (disk: Disk, folder: string): Promise<EngineStore> => {
  const files = engineFiles(folder);
  await disk.makeFolder(folder, 0o700);
  let current = (await disk.exists(files.settings))
    ? parse(await disk.readText(files.settings, fileBytesMax), files.settings)
    : {};
  const listeners: (() => void)[] = [];
  const inTurn = inTurns();
  const write = async (settings: EngineSettings): Promise<void> => {
    await disk.replaceText(files.settings, `${JSON.stringify(settings, null, 2)}\n`, 0o600);
    const { cluster } = current;
    current = settings;
    if (settings.cluster !== undefined && !isDeepStrictEqual(settings.cluster.endpoints, cluster?.endpoints))
      for (const told of listeners) told();
  };
  const change: EngineStore['change'] = (next) => inTurn(() => write(next(current)));
  const read = (file: string): Promise<string> => disk.readText(file, fileBytesMax);
  return {
    files,
    get current() {
      return current;
    },
    change,
    onEndpoints: (told) => {
      listeners.push(told);
    },
    credentials: async () => ({
      authority: await read(files.authority),
      certificate: await read(files.certificate),
      key: await read(files.key),
      ...((await disk.exists(files.authorityKey)) && { authorityKey: await read(files.authorityKey) }),
    }),
    saveCredentials: async ({ authority, certificate, key, authorityKey }) => {
      await disk.replaceText(files.authority, authority, 0o600);
      await disk.replaceText(files.certificate, certificate, 0o600);
      await disk.replaceText(files.key, key, 0o600);
      if (authorityKey !== undefined) await disk.replaceText(files.authorityKey, authorityKey, 0o600);
      else await removeAll(disk, files.authorityKey);
    },
    forget: async () => {
      await change(({ use, move }) => ({ ...(use && { use }), ...(move && { move }) }));
      for (const name of ['authority', 'authorityKey', 'certificate', 'key', 'pid', 'ballast'] as const)
        await removeAll(disk, files[name]);
      await removeAll(disk, files.data);
    },
  };
};

/** A file, or a folder with all that is in it. */
export const removeAll = async (disk: Disk, path: string): Promise<void> => {
  if (!(await disk.exists(path))) return;
  const within = await disk.list(path).catch(() => []);
  for (const { name } of within) await removeAll(disk, join(path, name));
  await disk.remove(path);
};

export const isEngine = (value: unknown): value is LogEngine => value === 'primary' || value === 'etcd';

export const isMove = (value: unknown): value is EngineMove => {
  const { to, by, step } = (value ?? {}) as Record<string, unknown>;
  return isEngine(to) && typeof by === 'string' && (moveSteps as readonly unknown[]).includes(step);
};

const parse = (text: string, file: string): EngineSettings => {
  try {
    const { use, move, cluster, member } = jsonOf(text) as EngineSettings;
    const texts = (list: unknown): boolean =>
      Array.isArray(list) && list.every((one) => typeof one === 'string');
    if (
      cluster !== undefined &&
      !(texts(cluster.endpoints) && texts([cluster.pool]) && typeof cluster.whole === 'boolean')
    )
      throw new Error('No access');
    if (member !== undefined) {
      checkedMember(member);
      if (typeof member.started !== 'boolean') throw new Error('No member');
    }
    if (use !== undefined && !isEngine(use)) throw new Error('No engine');
    if (move !== undefined && !isMove(move)) throw new Error('No move');
    return {
      ...(use && { use }),
      ...(move && { move }),
      ...(cluster && { cluster }),
      ...(member && { member }),
    };
  } catch {
    throw new UnusableError(
      `${file} cannot be read, so this host does not know its part in the pool's cluster of etcd. Put ` +
        `it back from a backup, ` +
        'or remove it: once this host is up, take it out with xenact engine leave and let it in again ' +
        'with xenact engine join.',
    );
  }
};
