// Goal: what was acknowledged is there after any kill, what was not is there as a whole or not at all, and
//   nothing is open, busy or half linked after a start.
// Method: nine clients change settings, rows, disks and power states at once, 1,000 changes in all, while
//   xenact is killed with SIGKILL ten times; after each start every change and every relation is looked at.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Value } from '../../src/std/value.ts';
import { Failure, logIn, type Session } from './client.ts';
import { patience } from './hosts.ts';
import { looseEnds, newDisk, newDrive, newVm, type Row, rowsOf, text, untilEnded } from './lab.ts';
import { clean, newDataFolder, start, type Xenact } from './xenact.ts';

const changesMin = 1_000;
const kills = 10;

let data: string;
let xenact: Xenact;
beforeAll(async () => {
  data = await newDataFolder();
  xenact = await start(data, ['--hypervisor', 'sim']);
});
afterAll(async () => {
  await xenact.end('SIGKILL');
  await clean(data);
});

/** What is known to be there. Of what was asked for without an answer, nothing is known. */
interface Ledger {
  acknowledged: number;
  readonly settings: Map<string, { cls: string; ref: string; key: string; value: string }>;
  readonly there: Map<string, string>;
  readonly gone: Map<string, string>;
  /** Answers that nobody expected. */
  readonly surprises: string[];
}

type Client = (session: Session, step: number, ledger: Ledger) => Promise<void>;

const addSettings =
  (cls: string, ref: string): Client =>
  async (session, step, { settings }) => {
    const key = `key-${step}`;
    const value = `${cls} ${step}`;
    await session.call(`${cls}.add_to_other_config`, ref, key, value);
    settings.set(`${cls}/${ref}/${key}`, { cls, ref, key, value });
  };

/** Makes rows of a class and destroys every second one. */
const createAndDestroy = (
  cls: string,
  create: (session: Session, step: number) => Promise<Value>,
): Client => {
  let last: string | undefined;
  return async (session, step, { there, gone }) => {
    if (last === undefined || step % 4 === 0) {
      last = undefined;
      const made = (await create(session, step)) as string;
      there.set(made, cls);
      last = step % 4 === 0 ? undefined : made;
      return;
    }
    const doomed = last;
    last = undefined;
    // From here until the answer nobody knows.
    there.delete(doomed);
    await session.call(`${cls}.destroy`, doomed);
    gone.set(doomed, cls);
  };
};

const powerCycle =
  (vm: string): Client =>
  async (session) => {
    const halted = (await session.call('VM.get_power_state', vm)) === 'Halted';
    if (halted) await session.call('VM.start', vm, false, false);
    else await session.call('VM.hard_shutdown', vm);
    const now = await session.call('VM.get_power_state', vm);
    expect(now).toBe(halted ? 'Running' : 'Halted');
  };

/** One task after another: there is always one that a kill can cut off. */
const startTasks = (vm: string): Client => {
  let task: string | undefined;
  return async (session, step, { there }) => {
    if (task !== undefined) await untilEnded(session, task);
    task = (await session.call('Async.VM.clone', vm, `clone ${step}`)) as string;
    there.set(task, 'task');
  };
};

const clientsOf = async (session: Session): Promise<readonly Client[]> => {
  const first = async (cls: string): Promise<string> =>
    ((await session.call(`${cls}.get_all`)) as string[])[0] as string;
  const vm = await newVm(session, 'with drives');
  const disk = await newDisk(session, 1 << 20);
  const runner = await newVm(session, 'runner');
  await newDrive(session, runner, await newDisk(session, 1 << 20));
  const source = await newVm(session, 'source');
  await newDrive(session, source, await newDisk(session, 1 << 20));
  const network = (step: number): Value =>
    new Map<string, Value>([
      ['name_label', `network ${step}`],
      ['name_description', ''],
      ['MTU', 1500n],
      ['other_config', new Map()],
      ['bridge', ''],
      ['managed', true],
      ['tags', []],
    ]);
  return [
    addSettings('pool', await first('pool')),
    addSettings('host', await first('host')),
    addSettings('VM', vm),
    addSettings('SR', await first('SR')),
    createAndDestroy('network', (one, step) => one.call('network.create', network(step))),
    createAndDestroy('VBD', (one, step) => newDrive(one, vm, disk, String(step))),
    createAndDestroy('VDI', (one) => newDisk(one, 1 << 20)),
    powerCycle(runner),
    startTasks(source),
  ];
};

/** A client that goes on with whatever xenact there is, until there are changes enough. */
const work = async (client: Client, ledger: Ledger, current: () => Promise<Session>): Promise<void> => {
  for (let step = 1; ledger.acknowledged < changesMin; step += 1) {
    const session = await current();
    try {
      await client(session, step, ledger);
      ledger.acknowledged += 1;
      reached();
    } catch (error) {
      // A connection that was cut is what this test is about; a refusal is not.
      if (error instanceof Failure || !(error instanceof TypeError)) ledger.surprises.push(String(error));
    }
  }
};

let reached = (): void => {};
const acknowledges = (ledger: Ledger, count: number): Promise<void> =>
  new Promise((resolve) => {
    reached = () => {
      if (ledger.acknowledged >= count) resolve();
    };
    reached();
  });

const missingOf = async (session: Session, ledger: Ledger): Promise<readonly string[]> => {
  const tables = new Map<string, ReadonlyMap<string, Row>>();
  const table = async (cls: string): Promise<ReadonlyMap<string, Row>> => {
    const known = tables.get(cls) ?? (await rowsOf(session, cls));
    tables.set(cls, known);
    return known;
  };
  const missing: string[] = [];
  for (const [name, { cls, ref, key, value }] of ledger.settings) {
    const config = (await table(cls)).get(ref)?.get('other_config') as Row | undefined;
    if (config?.get(key) !== value) missing.push(`setting ${name}`);
  }
  for (const [ref, cls] of ledger.there) if (!(await table(cls)).has(ref)) missing.push(`${cls} ${ref}`);
  for (const [ref, cls] of ledger.gone) if ((await table(cls)).has(ref)) missing.push(`end of ${cls} ${ref}`);
  return missing;
};

const relations = [
  ['VBD', 'VM', 'VM', 'VBDs'],
  ['VBD', 'VDI', 'VDI', 'VBDs'],
  ['VIF', 'VM', 'VM', 'VIFs'],
  ['VIF', 'network', 'network', 'VIFs'],
  ['VDI', 'SR', 'SR', 'VDIs'],
  ['PBD', 'SR', 'SR', 'PBDs'],
  ['console', 'VM', 'VM', 'consoles'],
] as const;

/** Relations that only one end knows of. */
const halfLinks = async (session: Session): Promise<readonly string[]> => {
  const found: string[] = [];
  for (const [cls, field, otherCls, otherField] of relations) {
    const rows = await rowsOf(session, cls);
    const others = await rowsOf(session, otherCls);
    for (const [ref, row] of rows) {
      const other = text(row, field);
      const back = (others.get(other)?.get(otherField) ?? []) as readonly string[];
      if (other !== 'OpaqueRef:NULL' && !back.includes(ref)) found.push(`${cls} ${ref} → ${otherCls}`);
    }
    for (const [ref, row] of others) {
      for (const one of row.get(otherField) as readonly string[]) {
        if (rows.get(one)?.get(field) !== ref) found.push(`${otherCls} ${ref} → ${cls}`);
      }
    }
  }
  return found;
};

const tokenOf = async (session: Session, token: string): Promise<string> =>
  String(((await session.call('event.from', ['*'], token, 0)) as Row).get('token'));

const generationOf = (token: string): number => Number(token.split(',')[0]);

test('1,000 acknowledged changes from nine clients outlive ten kills, and none is half there', {
  timeout: 180_000,
}, async () => {
  const ledger: Ledger = {
    acknowledged: 0,
    settings: new Map(),
    there: new Map(),
    gone: new Map(),
    surprises: [],
  };
  let session = await logIn(xenact.http);
  const clients = await clientsOf(session);
  let current = Promise.resolve(session);
  const working = Promise.all(clients.map((client) => work(client, ledger, () => current)));
  for (let kill = 1; kill <= kills; kill += 1) {
    await acknowledges(ledger, (changesMin * kill) / (kills + 1));
    const token = await tokenOf(session, '');
    let goOn = (_: Session): void => {};
    current = new Promise((resolve) => {
      goOn = resolve;
    });
    await xenact.end('SIGKILL');
    xenact = await start(data, ['--hypervisor', 'sim']);
    session = await logIn(xenact.http);
    // Disks that unfinished work left are destroyed beside the first calls: a slow plugin delays nobody's start.
    await expect.poll(() => looseEnds(session), { ...patience, message: `after kill ${kill}` }).toEqual([]);
    expect(await missingOf(session, ledger), `after kill ${kill}`).toEqual([]);
    expect(await halfLinks(session), `after kill ${kill}`).toEqual([]);
    const next = await tokenOf(session, token).catch((error: Failure) => error.code);
    if (next !== 'EVENTS_LOST') expect(generationOf(next)).toBeGreaterThan(generationOf(token));
    expect(generationOf(await tokenOf(session, ''))).toBeGreaterThan(generationOf(token));
    goOn(session);
  }
  await working;
  expect(ledger.acknowledged).toBeGreaterThanOrEqual(changesMin);
  expect(await missingOf(session, ledger)).toEqual([]);
  expect(ledger.surprises).toEqual([]);
});
