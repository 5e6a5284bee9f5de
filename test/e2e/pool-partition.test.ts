// Goal: whichever host is cut off from the others, members change nothing without their coordinator, all agree once the
//   network is mended, and what an order to lead has cost is kept.
// Method: three built programs in network namespaces on one bridge, which loses what one of them and the others
//   send; skipped where namespaces are not allowed.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { logIn, type Session } from './client.ts';
import { codeOf, eventually, type Lab, logInHere, patience, poolOf, runTwice } from './hosts.ts';
import { looseEnds, newVm, type Row, rowsOf } from './lab.ts';
import { type Namespaces, namespaces } from './namespaces.ts';

const why = 'network namespaces need root';

let net: Namespaces | undefined;
let pool: Lab;
let vm: string;

beforeAll(async () => {
  net = namespaces(3);
  if (net === undefined) return;
  pool = await poolOf(3, ['--edge-members', 'serve'], net);
  vm = await newVm(await logIn(pool.host(0).http), 'written to');
}, 120_000);
afterAll(async () => {
  await pool?.close();
  net?.remove();
});

const write = (session: Session, key: string): Promise<string> =>
  codeOf(session.call('VM.add_to_other_config', vm, key, 'x'));

const keysOn = async (index: number): Promise<readonly string[]> => {
  const session = await logIn(pool.host(index).http);
  const config = (await session.call('VM.get_other_config', vm)) as Row;
  return [...config.keys()].filter((key) => key.startsWith('key-')).toSorted();
};

/** All hosts lead back to the same rows, with the keys that were acknowledged. */
const agree = async (kept: readonly string[]): Promise<void> => {
  await eventually(async () => {
    const keys = await Promise.all(pool.hosts.map((_, index) => keysOn(index)));
    expect(keys[1]).toEqual(keys[0]);
    expect(keys[2]).toEqual(keys[0]);
    expect(kept.filter((key) => keys[0]?.includes(key) !== true)).toEqual([]);
  });
  await eventually(async () => {
    const session = await logIn(pool.host(0).http);
    for (const metrics of (await rowsOf(session, 'host_metrics')).values())
      expect(metrics.get('live')).toBe(true);
    expect(await looseEnds(session)).toEqual([]);
  });
  expect(await runTwice(pool.hosts)).toEqual([]);
};

const kept: string[] = [];

test.for([1, 2])(
  'member %i that is cut off changes nothing, the others go on, and it catches up',
  { timeout: 120_000 },
  async (cut, context) => {
    if (net === undefined) return context.skip(why);
    const session = await logIn(pool.host(0).http);
    const lost = await logIn(pool.host(cut).http);
    net.cut(cut);
    const alone = write(lost, `key-alone-${cut}`);
    for (let step = 0; step < 20; step += 1) {
      const key = `key-${cut}-${step}`;
      expect(await write(session, key)).toBe('done');
      kept.push(key);
    }
    expect(await alone).toBe('CANNOT_CONTACT_HOST');
    const here = await logInHere(pool.host(cut));
    await expect.poll(() => here.call('host.is_in_emergency_mode'), patience).toBe(true);
    net.heal();
    await agree(kept);
  },
);

test('a coordinator that is cut off follows the one that was ordered to lead, and keeps what it had answered', async (context) => {
  if (net === undefined) return context.skip(why);
  const old = await logIn(pool.host(0).http);
  net.cut(0);
  // Once it has missed its members for long enough its own disk is all that it promises.
  await expect.poll(() => write(old, `key-old-${Date.now()}`), patience).toBe('done');
  const local = await logInHere(pool.host(1));
  await eventually(() => local.call('pool.emergency_transition_to_master', true));
  const session = await eventually(() => logIn(pool.host(1).http));
  for (let step = 0; step < 20; step += 1) {
    expect(await write(session, `key-new-${step}`)).toBe('done');
    kept.push(`key-new-${step}`);
  }
  net.heal();
  await agree(kept);
  const [master] = [...(await rowsOf(session, 'pool')).values()].map((row) => row.get('master'));
  expect(await session.call('host.get_address', master as string)).toBe(pool.host(1).address);
  const { text: listed } = pool.host(0).command('diverged');
  const name = /^\S+\.json/.exec(listed)?.[0] ?? '';
  expect(pool.host(0).command('diverged', 'show', name).text).toContain('key-old-');
  await eventually(async () => {
    const alerts = [...(await rowsOf(session, 'message')).values()].map((row) => row.get('name'));
    expect(alerts).toContain('CHANGES_SET_ASIDE');
  });
  expect(pool.host(0).command('diverged', 'remove', name).status).toBe(0);
  expect(pool.host(0).command('diverged').text).toContain('nothing that its pool lacks');
}, 180_000);
