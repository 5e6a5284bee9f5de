import type { Command, CommandRun } from '../command.ts';
import { assertForced } from '../confirm.ts';
import { CommandFailure } from '../failures.ts';
import type { Listed } from '../fields.ts';
import { srOrDefault, unlessRefused } from '../lookup.ts';
import { chosenRows } from '../selectors.ts';
import { fetched, type Transfer, transferred } from '../transfers.ts';

// Files of hosts, of the pool and of blobs, each behind a door of its own.

interface Door {
  readonly name: string;
  readonly doc: string;
  readonly kind: Transfer['kind'];
  readonly path: string;
  /** The parameter that names the file. With `?` after it it may be left out: what comes is shown then. */
  readonly file: string;
  readonly optional?: readonly string[];
  readonly query?: (run: CommandRun) => Promise<Readonly<Record<string, string>>>;
  /** What to say or do once it is done, with the result of its task. */
  readonly done?: (run: CommandRun, result: string) => Promise<void>;
  readonly more?: Partial<Pick<Command, 'hidden' | 'required'>>;
  /** The door has no task of its own. */
  readonly untracked?: true;
}

const through = async (run: CommandRun, door: Door, at?: string): Promise<void> => {
  const [param = '', isOptional] = door.file.split('?');
  const file = isOptional === undefined ? run.params.need(param) : (run.params.get(param) ?? '');
  const query = (await door.query?.(run)) ?? {};
  const transfer = { kind: door.kind, file, path: door.path, query, ...(at !== undefined && { at }) };
  if (door.untracked) await fetched(run, transfer);
  else {
    const result = await transferred(run, door.doc.replace(/\.$/, ''), transfer);
    await door.done?.(run, result);
  }
};

const wordsOf = ({ name, doc, file, optional = [], more }: Door) => {
  const [param = '', isOptional] = file.split('?');
  return {
    ...{ name, doc, ...more, optional: [...optional, ...(isOptional === undefined ? [] : [param])] },
    required: [...(more?.required ?? []), ...(isOptional === undefined ? [param] : [])],
  };
};

const ofPool = (door: Door): Command => ({ ...wordsOf(door), run: (run) => through(run, door) });

/** The door of the host that is chosen: the client goes there itself where it is another than it talks to. */
const ofHost = (classes: readonly Listed[], door: Door): Command => {
  const command = { ...wordsOf(door), selects: 'host' as const };
  return {
    ...command,
    run: async (run) => {
      const [row] = await chosenRows(run, { classes, command, single: true });
      const { api } = run;
      if (row?.ref === api.host) return through(run, door);
      const address = String(row?.record['address']);
      // A session that the socket of a host opened is known to that host alone.
      const isKnown = await unlessRefused(api.send('session.get_uuid', api.session), undefined);
      if (isKnown === undefined) throw new CommandFailure(`Ask that host itself: xe -s ${address} ...`);
      await through(run, door, address);
    },
  };
};

const outputs = ['tar', 'tar.bz2', 'zip'];

const hosts: readonly Door[] = [
  {
    ...{ name: 'host-backup', doc: 'Writes a copy of the system of a host to a file.', file: 'file-name' },
    ...{ kind: 'get', path: '/host_backup' },
  },
  {
    ...{ name: 'host-restore', doc: 'Gives a host the system that a file has.', file: 'file-name' },
    ...{ kind: 'put', path: '/host_restore' },
  },
  {
    ...{ name: 'host-logs-download', doc: 'Writes the logs of a host to a file.', file: 'file-name?' },
    ...{ kind: 'get', path: '/host_logs_download' },
  },
  {
    ...{ name: 'host-get-system-status', doc: 'Writes a report for support to a file.', file: 'filename' },
    ...{ kind: 'get', path: '/system-status', optional: ['entries', 'output'] },
    query: async ({ params }) => {
      const output = params.get('output') ?? 'tar.bz2';
      if (!outputs.includes(output)) throw new CommandFailure(`The output is one of ${outputs.join(', ')}`);
      return { entries: params.get('entries') ?? '', output };
    },
  },
];

const isDryRun = ({ params }: CommandRun): boolean => params.get('dry-run') !== undefined;

const blobOf = async ({ api, params }: CommandRun) => ({
  ref: await api.send('blob.get_by_uuid', params.need('uuid')),
});

/** Where an update goes. */
const srOf = async ({ api, params }: CommandRun) => ({
  sr_id: await srOrDefault(api, params.get('sr-uuid')),
});

const told = (text: string) => (run: CommandRun) => run.client.tell({ kind: 'print', text });

const pool: readonly Door[] = [
  {
    ...{ name: 'pool-dump-database', doc: 'Writes the database to a file.', file: 'file-name' },
    ...{ kind: 'get', path: '/pool/xmldbdump' },
  },
  {
    ...{ name: 'pool-restore-database', doc: 'Makes the pool what a database says.', file: 'file-name' },
    ...{ kind: 'put', path: '/pool/xmldbdump', optional: ['dry-run'] },
    query: async (run) => {
      if (!isDryRun(run)) assertForced(run);
      return { dry_run: String(isDryRun(run)) };
    },
    done: async (run) => {
      if (isDryRun(run)) await run.print.list(['Dry-run backup restore successful']);
    },
  },
  {
    ...{ name: 'pool-sync-bundle', doc: 'Gives the pool a bundle of updates.', file: 'filename' },
    ...{ kind: 'put', path: '/bundle' },
  },
  {
    ...{ name: 'patch-upload', doc: 'Gives the pool a patch.', file: 'file-name', query: srOf },
    ...{ kind: 'put', path: '/pool_patch_upload' },
    done: async (run, patch) => told(await run.api.send('pool_patch.get_uuid', patch))(run),
  },
  {
    ...{ name: 'update-upload', doc: 'Gives the pool an update.', file: 'file-name', query: srOf },
    ...{ kind: 'put', path: '/import_raw_vdi', optional: ['sr-uuid'] },
    done: async (run, result) => {
      const [vdi = result] = /OpaqueRef:[\w-]+/.exec(result) ?? [];
      try {
        const update = await run.api.send('pool_update.introduce', vdi);
        await told(await run.api.send('pool_update.get_uuid', update))(run);
      } catch (error) {
        await run.api.send('VDI.destroy', vdi).catch(() => {});
        throw error;
      }
    },
  },
  {
    ...{ name: 'pool-retrieve-wlb-diagnostics', doc: 'Gives what the balancing server logged.' },
    ...{ kind: 'get', path: '/wlb_diagnostics', file: 'filename?' },
  },
  {
    ...{ name: 'pool-retrieve-wlb-report', doc: 'Gives a report of the balancing server.' },
    ...{ kind: 'get', path: '/wlb_report', file: 'filename?', more: { required: ['report'] } },
    query: async ({ params }) => {
      const others = ['filename', 'username', 'password', 'minimal'];
      return Object.fromEntries(params.pairs.filter(([name]) => !others.includes(name)));
    },
  },
  {
    ...{ name: 'blob-get', doc: 'Writes the bytes of a blob to a file.', file: 'filename', query: blobOf },
    ...{ kind: 'get', path: '/blob', more: { hidden: true, required: ['uuid'] } },
    done: told('Blob get succeeded'),
  },
  {
    ...{ name: 'blob-put', doc: 'Gives a blob the bytes of a file.', file: 'filename', query: blobOf },
    ...{ kind: 'put', path: '/blob', more: { hidden: true, required: ['uuid'] } },
    done: told('Blob put succeeded'),
  },
  {
    ...{ name: 'audit-log-get', doc: 'Writes to a file who changed what.', file: 'filename' },
    ...{ kind: 'get', path: '/audit_log', optional: ['since'], untracked: true },
    query: async ({ params }) => {
      const since = params.get('since');
      return since === undefined ? {} : { since };
    },
  },
];

const owners = { vm: 'VM', pool: 'pool', sr: 'SR', host: 'host', network: 'network' } as const;

const blobCreate: Command = {
  ...{ name: 'blob-create', doc: 'Makes a blob of an object.', hidden: true, required: ['name'] },
  optional: ['mime-type', 'public', ...Object.keys(owners).map((one) => `${one}-uuid`)],
  run: async ({ api, params, print }) => {
    const [kind, cls] = Object.entries(owners).find(([one]) => params.get(`${one}-uuid`) !== undefined) ?? [];
    if (kind === undefined)
      throw new CommandFailure('Name what it is of: vm-uuid, host-uuid, network-uuid, sr-uuid or pool-uuid');
    const owner = await api.send(`${cls}.get_by_uuid`, params.need(`${kind}-uuid`));
    const args = [params.need('name'), params.get('mime-type') ?? '', params.flag('public')];
    const blob = await api.send(`${cls}.create_new_blob`, owner, ...args);
    await print.list([await api.send('blob.get_uuid', blob)]);
  },
};

export const fileCommands = (classes: readonly Listed[]): readonly Command[] => [
  ...hosts.map((door) => ofHost(classes, door)),
  ...pool.map(ofPool),
  ...[blobCreate],
];
