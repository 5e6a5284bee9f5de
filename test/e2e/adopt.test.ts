// Goal: who has a pool of xapi takes it over with every VM, disk and network under its reference and uuid, and gets it back.
// Method: a database written by the rules of its format is given to the built program by the lines of the README; its pool, dumped
//   and restored, is asked by HTTP.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readState } from '../../src/rules/state-db/read.ts';
import { schemas } from '../rules/state-db/rows.ts';
import { logIn, type Session } from './client.ts';
import { eventually } from './hosts.ts';
import { type Row, rowsOf } from './lab.ts';
import { clean, newDataFolder, start, type Xenact } from './xenact.ts';

/** A name with what each layer of the format spells in its own way. */
const awkward = (n: number): string => `it's "${n}"  50% %. \\ <&>\t\nü🐘 (a 'b')`;

const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
const setText = (items: readonly string[]): string => `(${items.map(quoted).join(' ')})`;
const mapText = (pairs: Readonly<Record<string, string>>): string =>
  `(${Object.entries(pairs)
    .map(([key, item]) => `(${quoted(key)} ${quoted(item)})`)
    .join(' ')})`;
const attribute = (text: string): string =>
  text
    .replaceAll('%', '%%')
    .replaceAll(' ', '%.')
    .replaceAll('\t', '%t')
    .replaceAll('\n', '%n')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');

const uuid = (kind: string, n: number): string =>
  `${kind.padEnd(8, '0')}-0000-4000-8000-${String(n).padStart(12, '0')}`;
const ref = (kind: string, n: number): string => `OpaqueRef:${uuid(kind, n)}`;

type Columns = Readonly<Record<string, string>>;
const kinds = {
  ...{ VM: 'aa', VDI: 'bb', VBD: 'cc', VIF: 'dd', network: 'ee', SR: 'ff', PBD: 'ab', PIF: 'ac', host: 'ad' },
  ...{ pool: 'ae', secret: 'af', VM_metrics: 'ba', host_metrics: 'bc' },
} as const;
type Kind = keyof typeof kinds;
const at = (cls: Kind, n: number): string => ref(kinds[cls], n);

const vms = 40;
const networks = 5;

const rows = (): readonly (readonly [Kind, number, Columns])[] => {
  const all: (readonly [Kind, number, Columns])[] = [
    [
      'pool',
      0,
      {
        name_label: 'over',
        master: at('host', 0),
        default_SR: at('SR', 0),
        other_config: mapText({ k: awkward(0) }),
      },
    ],
    ['SR', 0, { name__label: 'disks', type: 'nfs', content_type: 'user', shared: 'true' }],
    ['SR', 1, { name__label: 'of the other host', type: 'ext', content_type: 'user' }],
    ['secret', 0, { value: 'a  password' }],
  ];
  for (const host of [0, 1]) {
    all.push(
      [
        'host',
        host,
        {
          name__label: `host ${host}`,
          metrics: at('host_metrics', host),
          control_domain: at('VM', 900 + host),
        },
      ],
      ['host_metrics', host, { live: 'true' }],
      [
        'VM',
        900 + host,
        {
          name__label: 'dom0',
          is_control_domain: 'true',
          resident_on: at('host', host),
          power_state: 'Running',
        },
      ],
      [
        'PBD',
        host,
        {
          host: at('host', host),
          SR: at('SR', 0),
          currently_attached: 'true',
          device_config: mapText({ server: 'nfs', password_secret: uuid('af', 0) }),
        },
      ],
      [
        'PIF',
        host,
        { host: at('host', host), network: at('network', 0), device: 'no-such-card', physical: 'true' },
      ],
    );
  }
  for (let n = 0; n < networks; n += 1)
    all.push(['network', n, { name__label: awkward(n), bridge: `adopted${n}` }]);
  for (let n = 0; n < vms; n += 1) {
    all.push(
      [
        'VM',
        n,
        {
          ...{
            name__label: awkward(n),
            tags: setText([awkward(n), '']),
            other_config: mapText({ [awkward(n)]: awkward(n) }),
          },
          ...{
            power_state: n === 0 ? 'Running' : 'Halted',
            resident_on: n === 0 ? at('host', 1) : 'OpaqueRef:NULL',
          },
          ...{
            memory__static_max: String(1 << 28),
            memory__dynamic_max: String(1 << 28),
            VCPUs__max: '1',
            metrics: at('VM_metrics', n),
          },
          ...{
            domid: n === 0 ? '7' : '-1',
            affinity: n === 1 ? 'OpaqueRef:gone' : 'OpaqueRef:NULL',
            snapshot_of: '',
            HVM__shadow_multiplier: '1.',
          },
          current_operations: mapText({ 'OpaqueRef:task': 'start' }),
        },
      ],
      ['VM_metrics', n, { VCPUs__number: '1', start_time: '20260101T00:00:00Z' }],
      [
        'VDI',
        n,
        {
          name__label: awkward(n),
          SR: at('SR', n % 2),
          virtual_size: String(1 << 30),
          location: `disk ${n}`,
        },
      ],
      [
        'VBD',
        n,
        { VM: at('VM', n), VDI: at('VDI', n), userdevice: '0', currently_attached: String(n === 0) },
      ],
      [
        'VIF',
        n,
        { VM: at('VM', n), network: at('network', n % networks), device: '0', MAC: '02:00:00:00:00:01' },
      ],
    );
  }
  return all;
};

const documentOf = (all: ReturnType<typeof rows>): string => {
  const rowText = (cls: Kind, n: number, columns: Columns): string => {
    const whole = { ...columns, _ref: at(cls, n), uuid: uuid(kinds[cls], n) };
    const said = Object.entries(whole).map(([name, text]) => ` ${name}="${attribute(text)}"`);
    return `<row ref="${at(cls, n)}" __ctime="${n}" __mtime="${1_000 + n}"${said.join('')}/>`;
  };
  const tables = Object.keys(kinds).map((cls) => {
    const those = all.filter(([one]) => one === cls).map((row) => rowText(...row));
    return `<table name="${cls}">${those.join('')}</table>`;
  });
  const manifest = { schema_major_vsn: 5, schema_minor_vsn: 602, generation_count: 4_000 };
  const pairs = Object.entries(manifest).map(([key, value]) => `<pair key="${key}" value="${value}"/>`);
  const head = `<?xml version="1.0" encoding="UTF-8"?>\n<database><manifest>${pairs.join('')}</manifest>`;
  return `${head}${tables.join('')}<table name="session"/></database>`;
};

const lines = [
  ...readFileSync('README.md', 'utf8').matchAll(/^node (dist\/src\/main\.js adopt .*?)(?: {2,}#.*)?$/gm),
];

let folder: string;
let data: string;
let file: string;
let xenact: Xenact;
let session: Session;

/** A line of the README, with a file and a folder of this test. */
const typed = (line: string, ...more: readonly string[]) => {
  const words = line
    .split(' ')
    .map((word) => (word === 'state.db' ? file : word === '/tmp/over' ? data : word));
  const { status, stdout, stderr } = spawnSync(process.execPath, [...words, ...more], { encoding: 'utf8' });
  return { status, said: stdout + stderr };
};

beforeAll(async () => {
  folder = await newDataFolder();
  data = join(folder, 'over');
  file = join(folder, 'state.db');
  const all = rows();
  expect(all.length).toBeGreaterThan(150);
  writeFileSync(file, documentOf(all), { mode: 0o600 });
});
afterAll(async () => {
  await xenact?.end('SIGKILL');
  await clean(folder);
});

test('what would not be as it was is listed, and nothing is written', () => {
  const [, dryRun = ''] = lines[0] ?? [];
  const { status, said } = typed(dryRun, '--host', uuid('ad', 0));
  expect({ status, said }).toMatchObject({ status: 0 });
  expect(said).toContain(
    `These hosts and their cards are left out until they join: host 1 (${uuid('ad', 1)})`,
  );
  expect(said).toContain("These VMs are Halted: it's");
  expect(said).toContain('Repositories are not plugged');
  expect(said).toMatch(/Nothing was written\.\n$/);
  expect(readdirSync(folder)).toEqual(['state.db']);
});

test('each VM, disk, drive, interface and network is there under its reference and uuid', async () => {
  const [, adopt = ''] = lines[1] ?? [];
  expect(typed(adopt, '--host', uuid('ad', 0))).toMatchObject({ status: 0 });
  xenact = await start(data, ['--hypervisor', 'sim']);
  session = await logIn(xenact.http);
  const known = new Map<string, ReadonlyMap<string, Row>>();
  for (const [cls, n, columns] of rows()) {
    if (['host', 'host_metrics', 'PBD', 'PIF'].includes(cls) || n >= 900) continue;
    const there = known.get(cls) ?? (await rowsOf(session, cls));
    known.set(cls, there);
    const row = there.get(at(cls, n)) as Row;
    expect(row?.get('uuid'), `${cls} ${n}`).toBe(uuid(kinds[cls], n));
    if (columns['name__label'] !== undefined) expect(row.get('name_label')).toBe(columns['name__label']);
    if (cls !== 'VM') continue;
    expect(row.get('tags')).toEqual([awkward(n), '']);
    expect(row.get('other_config')).toEqual(new Map([[awkward(n), awkward(n)]]));
    expect([row.get('power_state'), row.get('current_operations')]).toEqual(['Halted', new Map()]);
    expect([row.get('VBDs'), row.get('VIFs')]).toEqual([[at('VBD', n)], [at('VIF', n)]]);
  }
});

test('this machine is its one host, and nothing of the other is left', async () => {
  expect([...(await rowsOf(session, 'host')).keys()]).toEqual([at('host', 0)]);
  expect(await session.call('pool.get_master', at('pool', 0))).toBe(at('host', 0));
  const pbds = await rowsOf(session, 'PBD');
  expect(pbds.get(at('PBD', 0))?.get('currently_attached')).toBe(false);
  expect(pbds.has(at('PBD', 1))).toBe(false);
  expect(await session.call('VM.get_affinity', at('VM', 1))).toBe('OpaqueRef:NULL');
  expect(await session.call('secret.get_value', at('secret', 0))).toBe('a  password');
});

test('a folder that has a pool is left alone', () => {
  const [, adopt = ''] = lines[1] ?? [];
  const { status, said } = typed(adopt, '--host', uuid('ad', 0));
  expect(status).toBe(1);
  expect(said).toContain('has a pool already');
});

const door = (query = '') => `${xenact.http}/pool/xmldbdump?session_id=${session.ref}${query}`;
const put = async (body: string, query = '') => {
  const answer = await fetch(door(query), { method: 'PUT', body });
  return { status: answer.status, said: await answer.text() };
};

test('what it gives is a database that is read back, and that it would take', async () => {
  const dumped = await (await fetch(door())).text();
  const { rows: read, passedOver, manifest } = await readState(dumped, schemas, async () => {});
  expect([passedOver, manifest.generation > 4_000]).toEqual([[], true]);
  expect(read.filter(({ cls }) => cls === 'VDI')).toHaveLength(vms);
  expect(await put(dumped, '&dry_run=true')).toMatchObject({ status: 200 });
  for (const [body, code] of [
    [dumped.slice(0, 5_000), 'INVALID_VALUE'],
    [dumped.replace('value="909"', 'value="908"'), 'RESTORE_INCOMPATIBLE_VERSION'],
    [dumped.replaceAll(/ master="[^"]*"/g, ' master="OpaqueRef:gone"'), 'INVALID_VALUE'],
  ] as const) {
    const { status, said } = await put(body, '&dry_run=true');
    expect({ status, said }).toMatchObject({ status: 500, said: expect.stringContaining(code) });
  }
  expect(await session.call('pool.get_name_label', at('pool', 0))).toBe('over');
});

test('restored, the pool is what the database says, and the one before is kept', async () => {
  const dumped = await (await fetch(door())).text();
  await session.call('VM.set_name_label', at('VM', 2), 'changed since');
  expect(await put(dumped)).toMatchObject({ status: 200 });
  const again = await eventually(async () => {
    const ready = xenact.printed.flatMap((line) => /^xenact ready: (\S+)/.exec(line)?.[1] ?? []);
    expect(ready).toHaveLength(2);
    return ready[1] as string;
  });
  session = await logIn(again);
  expect(await session.call('VM.get_name_label', at('VM', 2))).toBe(awkward(2));
  expect(existsSync(join(data, 'next'))).toBe(false);
  expect(readdirSync(data).filter((name) => name.startsWith('store.before-'))).toHaveLength(1);
});
