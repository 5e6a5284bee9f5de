import type { HostFile, HostFiles } from '../../src/drivers/host-files.ts';
import type { ClassName } from '../../src/model/class.ts';
import { wireFields } from '../../src/model/derive.ts';
import { datetime, millisecondsOf } from '../../src/model/types.ts';
import type { AnswerHead, Client } from '../../src/objects/client.ts';
import type { ActionHandler, Working } from '../../src/objects/implement.ts';
import type { Services } from '../../src/objects/services.ts';
import { shower } from '../../src/objects/shown.ts';
import { archived, filesOf } from '../../src/rules/archive.ts';
import { packed } from '../../src/rules/xva/packing.ts';
import { Fault } from '../../src/std/fault.ts';

// What a host tells of itself for whoever helps its owner: logs, and what a report for support has.

type Bytes = AsyncIterable<Uint8Array>;

const keptBy = ({ files }: Services): HostFiles => {
  if (files === undefined) throw new Fault('OPERATION_NOT_ALLOWED', ['This host keeps no logs']);
  return files;
};

/** As lines begin: `{"at":"2026-08-21T02:00:23.000Z"`. Undefined: everything is wanted. */
const sinceOf = (text: string): string | Fault | undefined => {
  if (text === '') return undefined;
  try {
    return `{"at":"${new Date(millisecondsOf(datetime.read(text, 'since'))).toISOString()}`;
  } catch {
    return new Fault('INVALID_VALUE', ['since', text.slice(0, 64)]);
  }
};

/** Lines follow one another in time, so everything after the first that is new enough is too. */
async function* newer(chunks: Bytes, since: string): AsyncGenerator<Uint8Array> {
  let rest = Buffer.alloc(0);
  let passing = false;
  for await (const chunk of chunks) {
    if (passing) {
      yield chunk;
      continue;
    }
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf('\n'); end >= 0 && !passing; end = rest.indexOf('\n')) {
      passing = rest.toString('utf8', 0, since.length) >= since;
      if (!passing) rest = rest.subarray(end + 1);
    }
    if (passing) yield rest;
  }
}

const send = async (client: Client, head: AnswerHead, bytes: Bytes): Promise<void> => {
  const sink = client.answer(head);
  for await (const piece of bytes) await sink.write(piece);
};

/** None where a host keeps none. */
async function* logFiles({ files }: Services): AsyncGenerator<HostFile> {
  if (files === undefined) return;
  for await (const { name, bytes } of files.logs()) yield { name: `logs/${name}`, bytes };
}

async function* auditFiles({ files }: Services): AsyncGenerator<HostFile> {
  if (files !== undefined) yield* filesOf('logs/audit', '.log', files.audit());
}

/** Rows of these are nothing but secrets. */
const secret: ReadonlySet<string> = new Set(['session', 'secret']);

/** Every row as far as it may be shown: what clients wrote is left out but for names. */
async function* rowFiles({ store }: Services): AsyncGenerator<HostFile> {
  const show = shower(new Map([...store.schemas].map(([name, { cls }]) => [name, cls])), store.tables);
  for (const [name, { cls }] of store.schemas) {
    if (cls.internal === true || secret.has(name)) continue;
    const fields = wireFields(cls);
    const lines = function* (): Generator<Uint8Array> {
      for (const [ref, record] of store.committed.all(name as ClassName)) {
        const row = record as unknown as Readonly<Record<string, unknown>>;
        const shown = fields.map(([field, { type }]) => [field, show(type, row[field])]);
        yield Buffer.from(`${JSON.stringify({ ref, ...Object.fromEntries(shown) })}\n`);
      }
    };
    yield* filesOf(`rows/${name}`, '.jsonl', lines());
  }
}

/** The parts of a report, by the names that clients choose them by. */
const parts = {
  xapi: { pii: 'maybe', entries: rowFiles },
  'xenserver-logs': { pii: 'maybe', entries: logFiles },
  'audit-log': { pii: 'yes', entries: auditFiles },
} as const;

export const capabilities: string = [
  '<?xml version="1.0" ?>\n<system-status-capabilities>',
  ...Object.entries(parts).map(
    ([key, { pii }]) =>
      `<capability content-type="application/octet-stream" default-checked="yes" key="${key}" ` +
      `max-size="-1" max-time="-1" min-size="-1" min-time="-1" pii="${pii}"/>`,
  ),
  '</system-status-capabilities>\n',
].join('');

interface Report {
  readonly list: string;
  readonly entries: string;
  readonly output: string;
}

/** Whoever names none wants all of them. */
async function* reported(services: Services, names: string): AsyncGenerator<HostFile> {
  const wanted = new Set(names.split(',').map((name) => name.trim()));
  for (const [key, { entries }] of Object.entries(parts))
    if (names === '' || wanted.has(key)) yield* entries(services);
}

/** Formats of a report that are not made. */
const unmade = ['tar.bz2', 'zip'];

type Reporting = Working<'host'>;

const stamp = (nowMs: number): string => new Date(nowMs).toISOString().replaceAll(/[:.]/g, '-');

export const reports = {
  get_audit_log: {
    unless: (_view: unknown, _self: unknown, { since }: { readonly since: string }) => {
      const from = sinceOf(since);
      return from instanceof Fault ? from : undefined;
    },
    stream: async ({ services }: Reporting, { since }: { readonly since: string }, client: Client) => {
      const from = sinceOf(since);
      const lines = keptBy(services).audit();
      const wanted = typeof from === 'string' ? newer(lines, from) : lines;
      await send(client, { type: 'application/x-ndjson; charset=utf-8' }, wanted);
    },
  } satisfies ActionHandler<'host', { readonly since: string }>,

  get_host_logs_download: {
    stream: async ({ services, signal }: Reporting, _args: object, client: Client) => {
      const now = services.clock.now();
      const all = async function* () {
        yield* logFiles(services);
        yield* auditFiles(services);
      };
      const bytes = packed('gzip', archived(all(), now), { processes: services.processes, signal });
      await send(client, { type: 'application/x-gzip', name: `logs-${stamp(now)}.tar.gz` }, bytes);
    },
  } satisfies ActionHandler<'host', object>,

  get_host_backup: {
    stream: async ({ services }: Reporting, _args: object, client: Client) => {
      const now = services.clock.now();
      const name = `xenact-backup-${stamp(now)}.tar`;
      await send(client, { type: 'application/x-tar', name }, archived(keptBy(services).backup(), now));
    },
  } satisfies ActionHandler<'host', object>,

  get_system_status: {
    unless: (_view: unknown, _self: unknown, { output }: Report) =>
      unmade.includes(output)
        ? new Fault('SYSTEM_STATUS_RETRIEVAL_FAILED', [`Reports are not packed as ${output}: ask for tar`])
        : undefined,
    stream: async ({ services }: Reporting, { list, entries }: Report, client: Client) => {
      if (list !== 'absent') {
        const bytes = Buffer.from(capabilities);
        const sink = client.answer({ type: 'application/xml', sizeBytes: BigInt(bytes.length) });
        return sink.write(bytes);
      }
      const now = services.clock.now();
      const name = `system_status-${stamp(now)}.tar`;
      return send(client, { type: 'application/x-tar', name }, archived(reported(services, entries), now));
    },
  } satisfies ActionHandler<'host', Report>,
};
