import type { Disk } from '../drivers/disk.ts';
import { tailOf } from '../drivers/file-tail.ts';
import type { Processes } from '../drivers/processes.ts';
import { type Clock, sleep } from '../std/clock.ts';
import type { Log } from '../std/log.ts';
import { jsonIn, membersOf } from '../std/reader.ts';
import { keepBallast } from './ballast.ts';
import { etcdFlags, quotaBytesMax } from './etcd-flags.ts';
import { refusal } from './refusal.ts';
import type { EngineStore, OwnMember } from './settings.ts';

/**
 * The etcd that runs on this host. It outlives this program, so that the others keep their majority while
 * this one is
 * started again, and whenever it ends by itself it is started again.
 */
export interface MemberProcess {
  /** Starts it unless it runs, and watches over it until it is closed or stopped. */
  tend(): void;
  /** Ends etcd. */
  stop(): Promise<void>;
  /** Ends the watch; etcd goes on. */
  close(): Promise<void>;
  state(): MemberState;
}

export interface MemberState {
  readonly running: boolean;
  /** Times that it ended by itself and was started again, since this program runs. */
  readonly restarts: number;
  /** Why it does not run, in its own last words or ours. */
  readonly why: string;
}

export interface MemberContext {
  readonly disk: Disk;
  readonly processes: Processes;
  readonly clock: Clock;
  readonly log: Log;
  readonly store: EngineStore;
  /** The program: a path, or a name to be found on the path. */
  readonly etcd: string;
  readonly limits: MemberLimits;
}

export interface MemberLimits {
  readonly lookMs: number;
  /** Before it is started again; each further time twice as long, up to the last. */
  readonly againMs: number;
  readonly againMsMax: number;
  /** After this long it is believed to run well. */
  readonly steadyMs: number;
  readonly stopMsMax: number;
  readonly logBytesMax: number;
  readonly ballastBytes: number;
  /** At this size of its database the cluster takes no more. */
  readonly quotaBytes: number;
}

export const memberLimits: MemberLimits = {
  lookMs: 1_000,
  againMs: 500,
  againMsMax: 15_000,
  steadyMs: 60_000,
  stopMsMax: 10_000,
  logBytesMax: 16 * 1_048_576,
  ballastBytes: 512 * 1_048_576,
  quotaBytes: quotaBytesMax,
};

interface Watch {
  ends: AbortController | undefined;
  round: Promise<void>;
  restarts: number;
  startedMs: number;
  waitMs: number;
  begun: boolean;
  running: boolean;
  why: string;
}

export const memberProcess = (context: MemberContext): MemberProcess => {
  const { clock, log, limits } = context;
  const watch: Watch = {
    ends: undefined,
    round: Promise.resolve(),
    restarts: 0,
    startedMs: 0,
    waitMs: limits.againMs,
    begun: false,
    running: false,
    why: '',
  };
  const rounds = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      await look(context, watch).catch((error: unknown) => {
        watch.why = (error as Error).message;
        log.warn({ error: String(error) }, 'etcd cannot be looked after');
      });
      await sleep(clock, limits.lookMs, signal).catch(() => {});
    }
  };
  const close = async (): Promise<void> => {
    watch.ends?.abort(new Error('Nobody looks after it any more'));
    watch.ends = undefined;
    await watch.round;
  };
  return {
    tend: () => {
      if (watch.ends !== undefined) return;
      watch.ends = new AbortController();
      Object.assign(watch, { begun: false, restarts: 0, waitMs: limits.againMs, why: '' });
      watch.round = rounds(watch.ends.signal);
    },
    close,
    stop: async () => {
      await close();
      await end(context);
      watch.running = false;
    },
    state: () => ({ running: watch.running, restarts: watch.restarts, why: watch.why }),
  };
};

/** Is it there? If not it is started, unless it must not be. */
const look = async (context: MemberContext, watch: Watch): Promise<void> => {
  const { clock, disk, limits, log, store } = context;
  const { member } = store.current;
  if (member === undefined) return;
  await keepBallast(disk, store.files, limits.ballastBytes);
  await boundLog(context);
  const pid = await runningPid(context);
  if (pid !== undefined) {
    Object.assign(watch, { running: true, begun: true, why: '' });
    if (clock.monotonicMs() - watch.startedMs > limits.steadyMs) watch.waitMs = limits.againMs;
    return;
  }
  if (watch.running) {
    watch.running = false;
    watch.why = await lastWords(context);
    log.warn({ why: watch.why }, 'etcd ended, and is started again');
  }
  if (watch.begun) {
    if (clock.monotonicMs() - watch.startedMs < watch.waitMs) return;
    watch.restarts += 1;
    watch.waitMs = Math.min(limits.againMsMax, watch.waitMs * 2);
  }
  watch.begun = true;
  watch.startedMs = clock.monotonicMs();
  await begin(context, member);
  watch.running = true;
};

const begin = async (
  { disk, processes, store, etcd, limits }: MemberContext,
  member: OwnMember,
): Promise<void> => {
  const { files } = store;
  if (member.started && !(await disk.exists(`${files.data}/member/wal`))) {
    throw refusal(
      `The data of this host's member of the cluster is gone (${files.data}). It is not started ` +
        `without: take it out with ` +
        'xenact engine leave and let it in again with xenact engine join.',
    );
  }
  await disk.makeFolder(files.data, 0o700);
  const pid = await processes.detach(etcd, etcdFlags(member, files, limits.quotaBytes), {
    logFile: files.log,
    cwd: files.folder,
  });
  try {
    await disk.replaceText(files.pid, `${pid}\n`, 0o600);
  } catch (error) {
    // One that nobody knows of would be started a second time.
    processes.signal(pid, 'SIGKILL');
    throw error;
  }
};

const pidCharsMax = 64;
const commandLineBytesMax = 1 << 16;

/** The number of a process may be another's by now: it counts only with our folder on its command line. */
const runningPid = async ({ disk, processes, store }: MemberContext): Promise<number | undefined> => {
  const { pid: file, data } = store.files;
  if (!(await disk.exists(file))) return undefined;
  const pid = Number(await disk.readText(file, pidCharsMax));
  if (!Number.isSafeInteger(pid) || !processes.isAlive(pid)) return undefined;
  const line = await disk.readText(`/proc/${pid}/cmdline`, commandLineBytesMax).catch(() => '');
  return line.split('\0').includes(data) ? pid : undefined;
};

const end = async (context: MemberContext): Promise<void> => {
  const { clock, processes, limits } = context;
  const began = clock.monotonicMs();
  for (let signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'; ; ) {
    const pid = await runningPid(context);
    if (pid === undefined) return;
    processes.signal(pid, signal);
    if (clock.monotonicMs() - began > limits.stopMsMax) signal = 'SIGKILL';
    await sleep(clock, stopPollMs);
  }
};

const stopPollMs = 50;
const tailBytesMax = 1 << 16;
const wordsMax = 300;

/** Where there is less room than this, etcd cannot even write why it ended. */
const roomBytesMin = 16n * 1_048_576n;

/** Why etcd ended: what it wrote last, unless the disk is full. */
const lastWords = async ({ disk, store }: Pick<MemberContext, 'disk' | 'store'>): Promise<string> => {
  const { folder } = store.files;
  if ((await disk.space(folder)).freeBytes < roomBytesMin) return `no space left on the disk of ${folder}`;
  const tail = await tailOf(disk, store.files.log, tailBytesMax).catch(() => '');
  const lines = tail.toString('utf8').split('\n').filter(Boolean);
  const told =
    lines.findLast((line) => /"level":"(fatal|panic|error)"|^panic:/.test(line)) ?? lines.at(-1) ?? '';
  const { msg, error } = membersOf(jsonIn(told));
  const words = [msg, error].filter((one) => typeof one === 'string' && one !== '').join(': ');
  return (words === '' ? told : words).slice(0, wordsMax);
};

/** etcd appends to its log, which may be cut while it does. Its end is kept beside it. */
const boundLog = async ({ disk, store, limits }: MemberContext): Promise<void> => {
  const { log } = store.files;
  if (!(await disk.exists(log))) return;
  const file = await disk.open(log, 'write');
  try {
    if (file.sizeBytes <= BigInt(limits.logBytesMax)) return;
    const tail = await tailOf(disk, log, tailBytesMax);
    await disk.replaceText(`${log}.old`, tail.toString('utf8'), 0o600);
    await file.truncate(0n);
  } finally {
    await file.close();
  }
};
