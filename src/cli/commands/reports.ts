import type { Command, CommandRun, Selects } from '../command.ts';
import { CommandFailure } from '../failures.ts';
import { faultLine } from '../fault-text.ts';
import type { Listed } from '../fields.ts';
import { recordsOf } from '../generic.ts';
import { type ApiRow, lookupOf, rowByUuid, rowsOfClass } from '../lookup.ts';
import type { TableRecord } from '../printer.ts';
import { floatText, showOf } from '../rows.ts';
import { chosenRows } from '../selectors.ts';

// Commands that tell what is known of objects, and change nothing.

interface Choosing extends Pick<Command, 'name' | 'doc' | 'required' | 'optional'> {
  readonly selects: Selects;
}

/** A command about the one object that is chosen. */
const ofChosen = (
  classes: readonly Listed[],
  command: Choosing,
  tell: (run: CommandRun, row: ApiRow) => Promise<void>,
): Command => ({
  ...command,
  run: async (run) => {
    const [row] = await chosenRows(run, { classes, command, single: true });
    if (row !== undefined) await tell(run, row);
  },
});

const sourceFields = ['name_label', 'name_description', 'enabled', 'standard', 'min', 'max', 'units'];

const dataSources = (classes: readonly Listed[], selects: Selects, method: string): Command =>
  ofChosen(
    classes,
    { name: `${selects}-data-source-list`, doc: 'Lists what is measured of an object.', selects },
    async ({ api, print }, { ref }) => {
      const sources = (await api.send(method, ref)) as readonly ReadonlyMap<string, unknown>[];
      const text = (value: unknown): string => (typeof value === 'number' ? floatText(value) : String(value));
      await print.table(
        sources.map((one) => sourceFields.map((name) => [name, text(one.get(name))] as const)),
      );
    },
  );

const crashdumps = (classes: readonly Listed[]): Command =>
  ofChosen(
    classes,
    {
      name: 'vm-crashdump-list',
      doc: 'Lists the memory that was kept of a VM when it crashed.',
      selects: 'vm',
    },
    async ({ api, print }, { record }) => {
      const lookup = lookupOf(api);
      const uuidOf = async (cls: string, ref: unknown): Promise<string> =>
        String((await lookup(cls, String(ref)))?.['uuid'] ?? '<not in database>');
      const records: TableRecord[] = [];
      for (const ref of record['crash_dumps'] as readonly string[]) {
        const dump = await api.send('crashdump.get_record', ref);
        records.push([
          ['uuid ( RO)', dump.uuid],
          ['vm-uuid ( RO)', String(record['uuid'])],
          ['vm-name-label ( RO)', String(record['name_label'])],
          ['vdi-uuid ( RO)', await uuidOf('VDI', dump.VDI)],
        ]);
      }
      await print.table(records);
    },
  );

/** What firmware says where nobody chose anything. */
const plainFirmware = ['Xen', 'HVM domU', ''];
const chosenFirmware = (strings: ReadonlyMap<string, string>): boolean =>
  [...strings].some(([name, value]) => !/^(oem|hp)-/.test(name) && !plainFirmware.includes(value));

const firmware = (classes: readonly Listed[]): Command =>
  ofChosen(
    classes,
    { name: 'vm-is-bios-customized', doc: 'Says whose firmware a VM shows to its guest.', selects: 'vm' },
    async ({ api, print }, { ref }) => {
      const strings = (await api.send('VM.get_bios_strings', ref)) as ReadonlyMap<string, string>;
      const kind = chosenFirmware(strings) ? 'BIOS-customized' : 'BIOS-generic';
      await print.message(
        strings.size === 0 ? 'The BIOS strings of this VM have not yet been set.' : `This VM is ${kind}.`,
      );
    },
  );

/** `uuid (name)`, as people find an object by both. */
const naming = ({ api }: CommandRun) => {
  const lookup = lookupOf(api);
  return async (cls: string, ref: string): Promise<string> => {
    const record = await lookup(cls, ref);
    return record === undefined ? ref : `${record['uuid']} (${record['name_label']})`;
  };
};

/** What a balancing server advises, one line for each object. */
const advice = async (
  run: CommandRun,
  method: string,
  args: readonly string[],
  [cls, heading]: readonly [cls: string, heading: string],
): Promise<void> => {
  const said = (await run.api.send(method, ...args)) as ReadonlyMap<string, readonly string[]>;
  const nameOf = naming(run);
  const lines: [string, string][] = [[cls === 'VM' ? 'VM' : 'Host(Uuid)', heading]];
  for (const [ref, words] of said) lines.push([await nameOf(cls, ref), words.join(' ')]);
  await run.print.table([lines]);
};

const balancing = (classes: readonly Listed[]): readonly Command[] => [
  ofChosen(
    classes,
    {
      ...{ name: 'vm-retrieve-wlb-recommendations', doc: 'Shows where the balancing server would run a VM.' },
      selects: 'vm',
    },
    (run, { ref }) =>
      advice(run, 'VM.retrieve_wlb_recommendations', [ref], ['host', 'Stars, RecID, ZeroScoreReason']),
  ),
  {
    ...{ name: 'host-retrieve-wlb-evacuate-recommendations', hidden: true, required: ['uuid'] },
    doc: 'Shows where the balancing server would move the VMs of a host.',
    run: async (run) => {
      const host = await run.api.send('host.get_by_uuid', run.params.need('uuid'));
      const method = 'host.retrieve_wlb_evacuate_recommendations';
      await advice(run, method, [host], ['VM', '[Host, RecID] / Error']);
    },
  },
  {
    ...{ name: 'pool-retrieve-wlb-recommendations', doc: 'Shows which VMs the balancing server would move.' },
    run: (run) => advice(run, 'pool.retrieve_wlb_recommendations', [], ['VM', 'Host, OptID, RecID, Reason']),
  },
];

const restarts: readonly Command[] = [
  {
    name: 'pool-ha-compute-hypothetical-max-host-failures-to-tolerate',
    doc: 'Says how many hosts may fail if VMs were protected as given: vm-uuid and restart-priority of each.',
    optional: ['vm-uuid', 'restart-priority'],
    run: async ({ api, params, print }) => {
      const all = (name: string) => params.pairs.filter(([one]) => one === name).map(([, value]) => value);
      const [uuids, priorities] = [all('vm-uuid'), all('restart-priority')];
      if (uuids.length !== priorities.length)
        throw new CommandFailure('Each vm-uuid needs a restart-priority of its own');
      const configuration = new Map<string, string>();
      for (const [i, uuid] of uuids.entries())
        configuration.set(await api.send('VM.get_by_uuid', uuid), priorities[i] as string);
      const method = 'pool.ha_compute_hypothetical_max_host_failures_to_tolerate';
      await print.list([String(await api.send(method, configuration))]);
    },
  },
  {
    ...{ name: 'pool-ha-compute-vm-failover-plan', hidden: true, required: ['host-uuids'] },
    doc: 'Shows where the VMs of hosts would start if those failed.',
    run: async (run) => {
      const { api, params, print } = run;
      const hosts: string[] = [];
      for (const uuid of params.need('host-uuids').split(','))
        hosts.push(await api.send('host.get_by_uuid', uuid.trim()));
      const vms = (await rowsOfClass(api, 'VM')).filter(
        ({ record }) => record['is_control_domain'] !== true && hosts.includes(String(record['resident_on'])),
      );
      const refs = vms.map(({ ref }) => ref);
      const plan: ReadonlyMap<string, ReadonlyMap<string, string>> = await api.send(
        ...(['pool.ha_compute_vm_failover_plan', hosts, refs] as const),
      );
      const nameOf = naming(run);
      const lines: [string, string][] = [['VM', 'Destination Host or Error']];
      for (const [vm, how] of plan) {
        const host = how.get('host');
        const where = host === undefined ? (how.get('error_code') ?? 'UNKNOWN') : await nameOf('host', host);
        lines.push([await nameOf('VM', vm), where]);
      }
      await print.table([lines]);
    },
  },
];

const usageFields = ['uuid', 'name-label', 'tokens', 'calls'];

const callers: readonly Command[] = [
  {
    ...{ name: 'caller-list-usage', doc: 'Shows how much each caller has asked for.' },
    run: async ({ api, print }) => {
      const rows = (await api.send('Caller.query_all_usage')) as readonly (readonly string[])[];
      await print.table(
        rows.map((row) => row.map((text, i) => [usageFields[i] ?? String(i), text] as const)),
      );
    },
  },
  {
    ...{ name: 'caller-query-usage', doc: 'Shows how much a caller, or a group of them, has asked for.' },
    optional: ['uuid', 'group'],
    run: async ({ api, params, print }) => {
      const [uuid, group] = [params.get('uuid'), params.get('group')];
      if ((uuid === undefined) === (group === undefined))
        throw new CommandFailure('Name either the caller or the group: uuid=... or group=...');
      const [of, who] =
        uuid === undefined ? ['query_group', group] : ['query', await api.send('Caller.get_by_uuid', uuid)];
      const tokens = floatText(await api.send(`Caller.${of}_token_usage`, who));
      const calls = String(await api.send(`Caller.${of}_call_count`, who));
      await print.table([
        [
          ['tokens', tokens],
          ['call_count', calls],
        ],
      ]);
    },
  },
];

const shownOf = async (run: CommandRun, of: Listed, row: ApiRow, names: readonly string[]) => {
  const fields = of.fields.filter(({ name }) => names.includes(name));
  await run.print.table(
    await recordsOf([row], fields, { show: showOf(of, run), clock: run.clock, all: true }),
  );
};

/** Drives of a VM or a disk, each with some of its fields. */
const drives = async (run: CommandRun, of: Listed, refs: unknown, names: readonly string[]) => {
  const rows: ApiRow[] = [];
  for (const ref of refs as readonly string[])
    rows.push({ ref, record: await run.api.send('VBD.get_record', ref) });
  return { rows, show: (row: ApiRow) => shownOf(run, of, row, names) };
};

const unlessOk = async (run: CommandRun, answer: Promise<unknown>): Promise<string | undefined> => {
  try {
    await answer;
    return undefined;
  } catch (error) {
    return faultLine(error, run.api);
  }
};

const diagnoses = (classes: readonly Listed[]): readonly Command[] => {
  const named = (name: string): Listed => classes.find((one) => one.name === name) as Listed;
  return [
    {
      ...{ name: 'diagnostic-vdi-status', doc: 'Shows a disk and where it is attached.', required: ['uuid'] },
      run: async (run) => {
        const row = await rowByUuid(run.api, 'VDI', run.params.need('uuid'));
        const names = ['uuid', 'name-label', 'sr-uuid', 'mode', 'read-only', 'sharable', 'storage-lock'];
        await shownOf(run, named('vdi'), row, names);
        const fields = ['uuid', 'userdevice', 'device', 'empty', 'mode', 'type', 'storage-lock'];
        const { rows, show } = await drives(run, named('vbd'), row.record['VBDs'], fields);
        const active = rows.filter(({ record }) => record['currently_attached'] === true);
        const inactive = rows.filter((one) => !active.includes(one));
        await run.print.list([active.length === 0 ? 'no active VBDs.' : 'active VBDs:']);
        for (const one of active) await show(one);
        if (inactive.length > 0) await run.print.list(['inactive VBDs:']);
        for (const one of inactive) await show(one);
      },
    },
    {
      ...{ name: 'diagnostic-vm-status', doc: 'Shows a VM, and on which hosts it could start.' },
      ...{ required: ['uuid'], standard: true },
      run: async (run) => {
        const { api, print } = run;
        const row = await rowByUuid(api, 'VM', run.params.need('uuid'));
        await shownOf(run, named('vm'), row, ['uuid', 'name-label', 'power-state', 'possible-hosts']);
        await print.list(['Checking to see whether disks are attachable']);
        const fields = ['uuid', 'userdevice', 'device', 'vdi-uuid', 'empty', 'mode', 'type'];
        const more = [...fields, 'storage-lock', 'attachable'];
        const { rows, show } = await drives(run, named('vbd'), row.record['VBDs'], more);
        for (const one of rows) await show(one);
        await print.list(['Checking to see whether VM can boot on each host']);
        const hosts: [string, string][] = [];
        for (const { ref, record } of await rowsOfClass(api, 'host')) {
          const why = await unlessOk(run, api.send('VM.assert_can_boot_here', row.ref, ref));
          hosts.push([String(record['name_label']), why === undefined ? 'OK' : `Cannot start here [${why}]`]);
        }
        await print.table([hosts]);
        const why = await unlessOk(run, api.send('VM.assert_agile', row.ref));
        await print.list([why === undefined ? 'VM is agile.' : `VM is not agile because: ${why}`]);
      },
    },
  ];
};

/** Rows of texts as columns, each as wide as the widest of its texts. */
const columns = (
  rows: readonly (readonly string[])[],
  between: string,
  side: 'padEnd' | 'padStart',
): readonly string[] => {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((text, i) => {
      widths[i] = Math.max(widths[i] ?? 0, text.length);
    });
  return rows.map((row) => row.map((text, i) => text[side](widths[i] ?? 0)).join(between));
};

const dayMs = 86_400_000;
/** `20300101T00:00:00Z`. */
const instantOf = (text: string): number =>
  Date.parse(text.replace(/^(\d{4})(\d\d)(\d\d)T/, '$1-$2-$3T').replace(/Z?$/, 'Z'));

/** What is forbidden, as `restrict_*` says. */
const restricted = (facts: ReadonlyMap<string, string>): string =>
  [...facts].some(([name, value]) => name.startsWith('restrict_') && value === 'true') ? 'restricted' : 'all';

const hostFacts = (classes: readonly Listed[]): readonly Command[] => [
  {
    ...{ name: 'diagnostic-license-status', doc: 'Shows what each host may do, and until when.' },
    run: async ({ api, clock, print }) => {
      const rows: string[][] = [];
      for (const { record } of await rowsOfClass(api, 'host')) {
        const facts = record['license_params'] as ReadonlyMap<string, string>;
        const expiry = facts.get('expiry');
        const days = expiry === undefined ? undefined : (instantOf(expiry) - clock.now()) / dayMs;
        rows.push([
          ...[String(record['hostname']), String(record['uuid']).slice(0, 8), restricted(facts)],
          ...[String(record['edition']), expiry ?? '-', days === undefined ? '-' : days.toFixed(1)],
        ]);
      }
      const [pool] = await rowsOfClass(api, 'pool');
      const ofPool = restricted(pool?.record['restrictions'] as ReadonlyMap<string, string>);
      const heading = ['Hostname', 'UUID', 'Features', 'Edition', 'Expiry', 'Days left'];
      const line = heading.map(() => '-');
      const all = [heading, line, ...rows, line, ['-', '-', ofPool, '-', '-', '-']];
      for (const text of columns(all, ' ', 'padEnd')) await print.message(text);
    },
  },
  {
    ...{ name: 'diagnostic-timing-stats', doc: 'Shows how long parts of the work of each host took.' },
    run: async (run) => {
      const { api, params, print } = run;
      const records: TableRecord[] = [];
      for (const { ref, record } of await rowsOfClass(api, 'host')) {
        const asked = api.send('host.get_diagnostic_timing_stats', ref, params.flag('counts'));
        const failed = await unlessOk(run, asked);
        const stats: readonly (readonly [string, string])[] =
          failed === undefined ? [...(await asked)] : [['Error', failed]];
        const who = [
          ['host-uuid', String(record['uuid'])],
          ['host-name-label', String(record['name_label'])],
        ] as const;
        records.push([...who, ...stats].toSorted(([a], [b]) => (a < b ? -1 : 1)));
      }
      await print.table(records);
    },
  },
  ofChosen(
    classes,
    {
      ...{ name: 'diagnostic-net-stats', doc: 'Shows which requests a host has answered.' },
      ...{ optional: ['uri', 'method', 'params'], selects: 'host' },
    },
    async ({ api, params, print }, { ref }) => {
      const taken = ['method', 'uri', 'params', 'requests', 'connections', 'framed'];
      const wanted = new Map(params.pairs.filter(([name]) => taken.includes(name)));
      const rows = (await api.send('Diagnostics.network_stats', ref, wanted)) as readonly string[][];
      for (const line of columns(rows, ' | ', 'padStart')) await print.message(line);
    },
  ),
];

export const reportCommands = (classes: readonly Listed[]): readonly Command[] => [
  dataSources(classes, 'vm', 'VM.get_data_sources'),
  dataSources(classes, 'host', 'host.get_data_sources'),
  dataSources(classes, 'sr', 'SR.get_data_sources'),
  ...[crashdumps(classes), firmware(classes)],
  ...[...balancing(classes), ...restarts, ...callers],
  ...[...diagnoses(classes), ...hostFacts(classes)],
];
