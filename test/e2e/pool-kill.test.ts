// Goal: whichever host of a pool is killed, nothing that was acknowledged is missing, no guest runs twice, no task
//   stays open, and nobody waits for ever for a host that is gone.
// Method: twenty clients change settings, power states and rows of three built programs, which are killed with
//   SIGKILL in turn; one that is stopped in the middle of a call first looks like a network that fails.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Failure, type Session } from './client.ts';
import { codeOf, eventually, type Lab, leaderSession, patience, poolOfThree, runTwice } from './hosts.ts';
import { looseEnds, newVm, type Row, rowsOf, text, untilEnded } from './lab.ts';

let pool: Lab;
let session: Session;
let refs: readonly string[];
const ref = (index: number): string => refs[index] as string;

beforeAll(async () => {
  ({ pool, session, refs } = await poolOfThree());
}, 120_000);
afterAll(() => pool?.close());

/** What clients may hear while hosts come and go. */
const expectable = new Set([
  ...['CANNOT_CONTACT_HOST', 'HOST_OFFLINE', 'HOST_IS_SLAVE', 'HOST_STILL_BOOTING', 'SESSION_INVALID'],
  // After a call that was cut off nobody knows the state of its object.
  ...['VM_BAD_POWER_STATE', 'OTHER_OPERATION_IN_PROGRESS', 'MAP_DUPLICATE_KEY', 'NO_HOSTS_AVAILABLE'],
  ...['HANDLE_INVALID', 'TASK_CANCELLED'],
]);

interface Ledger {
  acknowledged: number;
  readonly settings: { readonly vm: string; readonly key: string }[];
  readonly clones: string[];
  readonly surprises: string[];
}

type Client = (session: Session, step: number, ledger: Ledger) => Promise<void>;

const settingsOf =
  (vm: string, name: string): Client =>
  async (from, step, { settings }) => {
    const key = `${name}-${step}`;
    await from.call('VM.add_to_other_config', vm, key, 'x');
    settings.push({ vm, key });
  };

const powerCycle =
  (vm: string): Client =>
  async (from, step) => {
    const halted = (await from.call('VM.get_power_state', vm)) === 'Halted';
    if (halted) await from.call('VM.start_on', vm, ref(step % 3), false, false);
    else await from.call('VM.hard_shutdown', vm);
    const state = await from.call('VM.get_power_state', vm);
    if (state !== (halted ? 'Running' : 'Halted')) throw new Error(`It is ${state} after its ${halted}`);
  };

const cloning =
  (vm: string): Client =>
  async (from, step, { clones }) => {
    clones.push((await from.call('VM.clone', vm, `clone ${step}`)) as string);
  };

/** Clients that go on with whatever pool there is, while the gate is open. */
const working = (clients: readonly Client[], ledger: Ledger) => {
  let open = true;
  const hosts = pool.hosts;
  const run = async (client: Client): Promise<void> => {
    let current: Session | undefined;
    for (let step = 0; open; step += 1) {
      try {
        current ??= await leaderSession(hosts);
        await client(current, step, ledger);
        ledger.acknowledged += 1;
      } catch (error) {
        if (error instanceof Failure && /^(VM_|OTHER|MAP|NO_HOSTS)/.test(error.code)) continue;
        if (error instanceof Failure ? !expectable.has(error.code) : !(error instanceof TypeError))
          ledger.surprises.push(String(error));
        current = undefined;
      }
    }
  };
  const all = Promise.all(clients.map(run));
  return {
    stop: async () => {
      open = false;
      await all;
    },
  };
};

const acknowledges = (ledger: Ledger, more: number): Promise<void> => {
  const wanted = ledger.acknowledged + more;
  return expect
    .poll(() => ledger.acknowledged, { timeout: 60_000, interval: 50 })
    .toBeGreaterThanOrEqual(wanted);
};

const missingOf = async (from: Session, { settings, clones }: Ledger): Promise<readonly string[]> => {
  const vms = await rowsOf(from, 'VM');
  const lost = settings.filter(
    ({ vm, key }) => (vms.get(vm)?.get('other_config') as Row | undefined)?.has(key) !== true,
  );
  return [...lost.map(({ key }) => key), ...clones.filter((clone) => !vms.has(clone))];
};

/** Guests that rows and daemons do not agree about. */
const misplaced = async (from: Session): Promise<readonly string[]> => {
  const found: string[] = [];
  const guests = await Promise.all(pool.hosts.map((host) => host.guests()));
  for (const row of (await rowsOf(from, 'VM')).values()) {
    if (row.get('is_control_domain') === true) continue;
    const uuid = text(row, 'uuid');
    const said = row.get('power_state') === 'Running' ? [refs.indexOf(text(row, 'resident_on'))] : [];
    const real = guests.flatMap((list, index) => (list.includes(uuid) ? [index] : []));
    if (said.join() !== real.join())
      found.push(`${uuid} runs on ${real.join()}, its row says ${said.join()}`);
  }
  return found;
};

describe('hosts that are killed while twenty clients work', () => {
  const ledger: Ledger = { acknowledged: 0, settings: [], clones: [], surprises: [] };
  let clients: readonly Client[];
  beforeAll(async () => {
    const vms = await Promise.all(Array.from({ length: 8 }, (_, i) => newVm(session, `vm ${i}`)));
    clients = [
      ...Array.from({ length: 10 }, (_, i) => settingsOf(vms[i % 4] as string, `c${i}`)),
      ...vms.map(powerCycle),
      ...[cloning(vms[0] as string), cloning(vms[1] as string)],
    ];
  });

  test.each([
    ['a member', 1],
    ['another member', 2],
    ['the coordinator', 0],
  ])(
    '%s comes back with all that was acknowledged, and every guest runs once at most',
    async (_, victim) => {
      const work = working(clients, ledger);
      await acknowledges(ledger, 60);
      await pool.host(victim).down('SIGKILL');
      // The others go on without a member.
      if (victim !== 0) await acknowledges(ledger, 40);
      expect(await runTwice(pool.hosts)).toEqual([]);
      await pool.host(victim).up();
      await acknowledges(ledger, 40);
      await work.stop();
      session = await leaderSession(pool.hosts);
      expect(await missingOf(session, ledger)).toEqual([]);
      await expect.poll(() => looseEnds(session), patience).toEqual([]);
      await expect.poll(() => misplaced(session), patience).toEqual([]);
      expect(await runTwice(pool.hosts)).toEqual([]);
      expect(ledger.surprises).toEqual([]);
    },
    120_000,
  );
});

test('a call to a host that stops to answer ends with CANNOT_CONTACT_HOST, and so does its task', async () => {
  const vm = await newVm(session, 'to a host that dies');
  const other = await newVm(session, 'waited for');
  const { pid } = pool.host(1).xenact;
  process.kill(pid, 'SIGSTOP');
  const beganMs = Date.now();
  const task = (await session.call('Async.VM.start_on', vm, ref(1), false, false)) as string;
  const waited = codeOf(session.call('VM.start_on', other, ref(1), false, false));
  const ended = await untilEnded(session, task);
  expect(ended.get('status')).toBe('failure');
  expect(ended.get('error_info')).toEqual(['CANNOT_CONTACT_HOST', ref(1)]);
  expect(await waited).toBe('CANNOT_CONTACT_HOST');
  // Silence of five seconds cuts a link, and a host has ten to come back.
  expect(Date.now() - beganMs).toBeLessThan(30_000);
  await pool.host(1).down('SIGKILL');
  expect(await codeOf(session.call('host.get_servertime', ref(1)))).toMatch(
    /^(CANNOT_CONTACT_HOST|HOST_OFFLINE)$/,
  );
  await pool.host(1).up();
  await eventually(async () => session.call('host.get_servertime', ref(1)));
  for (const one of [vm, other]) {
    await expect
      .poll(() => codeOf(session.call('VM.start_on', one, ref(1), false, false)), patience)
      .toBe('done');
    await session.call('VM.hard_shutdown', one);
  }
  expect(await looseEnds(session)).toEqual([]);
  expect(await runTwice(pool.hosts)).toEqual([]);
}, 120_000);
