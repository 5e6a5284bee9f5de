import type { Ref } from '../model/types.ts';
import { countOf, fieldsOf, flagOf, listOf, textOf } from '../pool/protocol.ts';
import { inTurns } from '../std/in-turns.ts';
import { keepBallast } from './ballast.ts';
import type { Certify, EngineContext, KeyPair } from './context.ts';
import {
  checkedMember,
  clientCommonName,
  clientUrlOf,
  endpointOf,
  etcdVersionOf,
  memberCommonName,
  peerUrlOf,
} from './etcd-flags.ts';
import { refusal } from './refusal.ts';
import {
  answerOf,
  type ClusterAccess,
  type EngineAnswer,
  type EngineMove,
  isEngine,
  isMove,
  type OwnMember,
  openCredentials,
  type TlsFiles,
} from './settings.ts';

// What hosts tell each other about the cluster, and what the coordinator orders them to do. Whatever arrives
// is read
// here before it is used.

/** What a host says of its part in the cluster. */
export interface HostReport {
  /** The version of its etcd, '' where it has none that can be used, and why. */
  readonly etcd: string;
  readonly why: string;
  readonly member: MemberReport | undefined;
  /** How it reaches the cluster, if it knows. */
  readonly cluster: ClusterAccess | undefined;
  readonly disk: DiskReport;
  /** It leads, or follows and has all that the leader has. */
  readonly inLine: boolean;
}

export interface MemberReport {
  readonly name: string;
  readonly endpoint: string;
  readonly peerUrl: string;
  readonly running: boolean;
  readonly restarts: number;
  readonly why: string;
}

export interface DiskReport {
  readonly freeBytes: number;
  readonly totalBytes: number;
  /** The file that is given up when the disk is full is there. */
  readonly ballast: boolean;
}

/** What makes a host a member of the cluster, or without `member` a client of it. */
export interface Equipment {
  readonly credentials: TlsFiles;
  readonly cluster: ClusterAccess;
  readonly member?: OwnMember;
}

/** For whom a certificate is. */
export interface Bearer {
  readonly address: string;
  readonly isMember: boolean;
}

/** The hosts of the pool, this one among them, each asked in the same way. */
export interface Hosts {
  report(host: Ref<'host'>): Promise<HostReport>;
  equip(host: Ref<'host'>, equipment: Equipment): Promise<void>;
  /** The host reaches the cluster there from now on; a member there is part of it. */
  know(host: Ref<'host'>, endpoints: readonly string[]): Promise<void>;
  /** Signed by a host that has the authority's key. */
  credentials(host: Ref<'host'>, who: Bearer): Promise<TlsFiles>;
  /** Which engine the host has, and whether the pool's log is on its way to another. */
  engineOf(host: Ref<'host'>): Promise<EngineAnswer>;
  /** The host notes that the log moves, or that it does not after all. */
  prepare(host: Ref<'host'>, move: EngineMove | undefined): Promise<void>;
  /** How this host, which has no part in the cluster, reaches it. */
  access(host: Ref<'host'>): Promise<Equipment>;
  /** The host forgets the cluster, and the data of a member that it had. */
  dismiss(host: Ref<'host'>): Promise<void>;
}

const calls = {
  report: 'engineReport',
  equip: 'engineEquip',
  know: 'engineKnow',
  credentials: 'engineCredentials',
  engineOf: 'engineAnswer',
  prepare: 'enginePrepare',
  access: 'engineAccess',
  dismiss: 'engineDismiss',
} as const;

/** `signedBy`: has a certificate signed by whichever host can. `ends`: nothing is asked any more. */
export const hostsWith = (
  context: EngineContext,
  signedBy: (hosts: Hosts, who: Bearer) => Promise<TlsFiles>,
  ends: AbortSignal,
): Hosts => {
  const { mesh, host, pool, limits } = context;
  const here = ordersHere(context);
  mesh.serve(calls.report, () => reportOf(context));
  mesh.serve(calls.equip, async (payload, { from }) => {
    pool.assertLeader(from);
    await here.equip(equipmentOf(payload));
    return {};
  });
  mesh.serve(calls.know, async (payload, { from }) => {
    pool.assertLeader(from);
    await here.know(endpointsOf(fieldsOf(payload)['endpoints']));
    return {};
  });
  mesh.serve(calls.credentials, async (payload, { from }) => {
    pool.assertLeader(from);
    const { address, isMember } = fieldsOf(payload);
    return sign(context, { address: textOf(address), isMember: flagOf(isMember) });
  });
  mesh.serve(calls.engineOf, () => answerOf(context), anyEpoch);
  mesh.serve(calls.prepare, async (payload, { from }) => {
    pool.assertLeader(from);
    const { move } = fieldsOf(payload);
    await here.noteMove(move === undefined || move === null ? undefined : moveOf(move));
    return {};
  });
  mesh.serve(
    calls.access,
    (_, { from }) => accessFor(context, from, (who) => signedBy(hosts, who)),
    anyEpoch,
  );
  mesh.serve(calls.dismiss, async (_, { from }) => {
    pool.assertLeader(from);
    await here.dismiss();
    return {};
  });
  const ask = (to: Ref<'host'>, name: string, payload: unknown, more: object = {}): Promise<unknown> =>
    mesh.call(to, name, payload, { timeoutMs: limits.askMsMax, signal: ends, ...more });
  const hosts: Hosts = {
    report: async (to) => (to === host ? reportOf(context) : readReport(await ask(to, calls.report, {}))),
    equip: async (to, equipment) => {
      if (to === host) await here.equip(equipment);
      else await ask(to, calls.equip, equipment);
    },
    know: async (to, endpoints) => {
      if (to === host) await here.know(endpoints);
      else await ask(to, calls.know, { endpoints });
    },
    credentials: async (to, who) =>
      to === host ? sign(context, who) : credentialsOf(await ask(to, calls.credentials, who)),
    engineOf: async (to) =>
      to === host ? answerOf(context) : readAnswer(await ask(to, calls.engineOf, {}, anyEpoch)),
    prepare: async (to, move) => {
      if (to === host) await here.noteMove(move);
      else await ask(to, calls.prepare, { move });
    },
    access: async (to) => equipmentOf(await ask(to, calls.access, {}, anyEpoch)),
    dismiss: async (to) => {
      if (to === host) await here.dismiss();
      else await ask(to, calls.dismiss, {});
    },
  };
  return hosts;
};

/** What is ordered of this host happens one after the other: each order builds on what the last one left. */
const ordersHere = (context: EngineContext) => {
  const turns = inTurns();
  const inTurn =
    <Given extends unknown[]>(order: (context: EngineContext, ...given: Given) => Promise<void>) =>
    (...given: Given): Promise<void> =>
      turns(() => order(context, ...given));
  return { equip: inTurn(equip), know: inTurn(know), noteMove: inTurn(noteMove), dismiss: inTurn(dismiss) };
};

/** While the log moves, hosts know of different epochs. */
const anyEpoch = { anyEpoch: true } as const;

const versionMsMax = 10_000;
const versionBytesMax = 1 << 16;

const reportOf = async (context: EngineContext): Promise<HostReport> => {
  const { disk, store, process, limits, pool } = context;
  const { member, cluster } = store.current;
  const { freeBytes, totalBytes } = await disk.space(store.files.folder);
  const ballast = member !== undefined && (await keepBallast(disk, store.files, limits.ballastBytes));
  return {
    ...(await versionHere(context)),
    member: member && {
      name: member.name,
      endpoint: endpointOf(clientUrlOf(member)),
      peerUrl: peerUrlOf(member),
      ...process.state(),
    },
    cluster,
    inLine: pool.leads() || pool.follows(),
    disk: { freeBytes: Number(freeBytes), totalBytes: Number(totalBytes), ballast },
  };
};

const versionHere = async ({ processes, etcd }: EngineContext): Promise<Pick<HostReport, 'etcd' | 'why'>> => {
  try {
    const { stdout } = await processes.run(etcd, ['--version'], {
      timeoutMs: versionMsMax,
      outputMax: versionBytesMax,
    });
    return { etcd: etcdVersionOf(stdout), why: '' };
  } catch (error) {
    const { params = [], message } = error as { params?: readonly string[]; message: string };
    return { etcd: '', why: params[0] ?? `etcd is not installed: install etcd-server (${message})` };
  }
};

const equip = async (context: EngineContext, { credentials, cluster, member }: Equipment): Promise<void> => {
  const { store, process } = context;
  const { member: present } = store.current;
  const stays = present !== undefined && member?.token === present.token && member.name === present.name;
  if (present !== undefined && !stays) await dismiss(context);
  await store.saveCredentials(credentials);
  // How it was started first stays as it was.
  const next = stays ? { ...present, started: present.started || member?.started === true } : member;
  await store.change(({ use, move }) => ({
    ...{ cluster, move },
    ...(use && { use }),
    ...(next && { member: next }),
  }));
  if (next !== undefined) process.tend();
};

const know = async ({ store }: EngineContext, endpoints: readonly string[]): Promise<void> => {
  if (store.current.cluster === undefined) throw refusal('This host has no certificate for the cluster yet');
  await store.change(({ cluster, member, ...now }) => ({
    ...now,
    ...(cluster && { cluster: { ...cluster, endpoints, whole: true } }),
    ...(member && { member: { ...member, started: member.started || isPartOf(endpoints, member) } }),
  }));
};

const isPartOf = (endpoints: readonly string[], member: OwnMember): boolean =>
  endpoints.includes(endpointOf(clientUrlOf(member)));

const sign = async ({ store, certify }: EngineContext, { address, isMember }: Bearer): Promise<TlsFiles> => {
  const { authority, authorityKey } = await store.credentials();
  if (authorityKey === undefined)
    throw refusal('This host has not the key that certificates are signed with');
  return signed(certify, { cert: authority, key: authorityKey }, { address, isMember });
};

/** A member can let others in, so it gets the authority's key too. */
export const signed = async (
  certify: Certify,
  authority: KeyPair,
  { address, isMember }: Bearer,
): Promise<TlsFiles> => {
  const { key, cert } = await certify.sign(
    authority,
    isMember ? memberCommonName : clientCommonName,
    address,
  );
  const credentials = { authority: authority.cert, certificate: cert, key };
  return isMember ? { ...credentials, authorityKey: authority.key } : credentials;
};

const dismiss = async ({ store, process }: EngineContext): Promise<void> => {
  await process.stop();
  await store.forget();
};

const noteMove = ({ store }: EngineContext, move: EngineMove | undefined): Promise<void> =>
  store.change((now) => ({ ...now, move }));

/** For a host of the pool that has no certificate yet, as it was away or is new. */
const accessFor = async (
  { store, pool }: EngineContext,
  from: string,
  sign: (who: Bearer) => Promise<TlsFiles>,
): Promise<Equipment> => {
  const { cluster } = store.current;
  const asking = pool.hosts().find(({ ref }) => ref === from);
  if (cluster?.whole !== true || asking === undefined)
    throw refusal('This host knows of no cluster that the other one could use');
  const { begins: _, ...known } = cluster;
  if (cluster.given) return { cluster: known, credentials: await store.credentials() };
  return { cluster: known, credentials: await sign({ address: asking.address, isMember: false }) };
};

const moveOf = (value: unknown): EngineMove => {
  if (!isMove(value)) throw refusal('What was said of a move to another engine is not what it should be');
  const { to, by, step } = value;
  return { to, by, step };
};

const readAnswer = (value: unknown): EngineAnswer => {
  const { use, move } = fieldsOf(value);
  return {
    use: isEngine(use) ? use : 'primary',
    move: move === undefined || move === null ? undefined : moveOf(move),
  };
};

/** Who may use these files may use the cluster, so only what was agreed upon is written into them. */
const pemRule = /^(-----BEGIN [A-Z ]+-----\n[A-Za-z0-9+/=\n]+-----END [A-Z ]+-----\n?)+$/;
const pemCharsMax = 16_384;
const endpointRule = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\]):\d{1,5}$/i;
const endpointsMax = 16;
const uuidRule = /^[\w-]{1,64}$/;

const pemOf = (value: unknown): string => {
  const text = textOf(value).replaceAll('\r', '');
  if (text.length > pemCharsMax || !pemRule.test(text)) throw refusal('A certificate or key came damaged');
  return text;
};

const endpointsOf = (value: unknown): readonly string[] => {
  const endpoints = listOf(value).map(textOf);
  if (endpoints.length > endpointsMax || !endpoints.every((one) => endpointRule.test(one)))
    throw refusal('The addresses of the cluster are not what they should be');
  return endpoints;
};

const equipmentOf = (value: unknown): Equipment => {
  const { credentials, cluster, member } = fieldsOf(value);
  return {
    // Members that were given may speak without encryption.
    credentials: fieldsOf(cluster)['given'] === true ? givenOf(credentials) : credentialsOf(credentials),
    cluster: accessOf(cluster),
    ...(member !== undefined && { member: memberOf(member) }),
  };
};

const credentialsOf = (value: unknown): TlsFiles => {
  const { authority, certificate, key, authorityKey } = fieldsOf(value);
  return {
    authority: pemOf(authority),
    certificate: pemOf(certificate),
    key: pemOf(key),
    ...(authorityKey !== undefined && { authorityKey: pemOf(authorityKey) }),
  };
};

const givenOf = (value: unknown): TlsFiles =>
  textOf(fieldsOf(value)['authority']) === '' ? openCredentials : credentialsOf(value);

const accessOf = (value: unknown): ClusterAccess => {
  const { pool, endpoints, whole, given, id } = fieldsOf(value);
  if (!uuidRule.test(textOf(pool))) throw refusal('The pool of the cluster is not what it should be');
  return {
    ...{ pool: textOf(pool), endpoints: endpointsOf(endpoints), whole: flagOf(whole) },
    ...(given === true && { given }),
    ...(id !== undefined && { id: textOf(id) }),
  };
};

const memberOf = (value: unknown): OwnMember => {
  const { name, address, clientPort, peerPort, token, initial, joins, started } = fieldsOf(value);
  return {
    ...checkedMember({
      name: textOf(name),
      address: textOf(address),
      clientPort: countOf(clientPort),
      peerPort: countOf(peerPort),
      token: textOf(token),
      initial: listOf(initial).map((one) => {
        const fields = fieldsOf(one);
        return { name: textOf(fields['name']), peerUrl: textOf(fields['peerUrl']) };
      }),
      joins: joins === 'existing' ? 'existing' : 'new',
    }),
    started: flagOf(started),
  };
};

const textMax = 1_024;
const shortOf = (value: unknown): string => textOf(value).slice(0, textMax);

const readReport = (value: unknown): HostReport => {
  const { etcd, why, member, cluster, disk, inLine } = fieldsOf(value);
  const { freeBytes, totalBytes, ballast } = fieldsOf(disk);
  return {
    etcd: shortOf(etcd),
    why: shortOf(why),
    member: member === undefined || member === null ? undefined : readMember(fieldsOf(member)),
    cluster: cluster === undefined || cluster === null ? undefined : accessOf(cluster),
    inLine: flagOf(inLine),
    disk: { freeBytes: countOf(freeBytes), totalBytes: countOf(totalBytes), ballast: flagOf(ballast) },
  };
};

const readMember = ({
  name,
  endpoint,
  peerUrl,
  running,
  restarts,
  why,
}: Readonly<Record<string, unknown>>): MemberReport => ({
  name: shortOf(name),
  endpoint: endpointsOf([endpoint])[0] as string,
  peerUrl: shortOf(peerUrl),
  running: flagOf(running),
  restarts: countOf(restarts),
  why: shortOf(why),
});
