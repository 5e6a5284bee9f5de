import { struct, type Value } from '../../src/std/value.ts';
import { discard, newDisk, resultOf } from './fixtures.ts';
import {
  disks,
  expect,
  type Run,
  refusal,
  type Scenario,
  Skipped,
  type SrScenario,
  same,
} from './scenario.ts';
import { type Client, nullRef, Refused, rowsWhere } from './server.ts';

const first = async (server: Client, cls: string): Promise<string> => {
  const [ref] = (await server.call(`${cls}.get_all`)) as readonly string[];
  if (ref === undefined) throw new Skipped(`there is no ${cls}`);
  return ref;
};

const uuidRoundTrip = async ({ server }: Run): Promise<void> => {
  const pbd = await first(server, 'PBD');
  same(await server.call('PBD.get_by_uuid', await server.call('PBD.get_uuid', pbd)), pbd, 'the PBD');
};

const messageFilters = async (run: Run): Promise<void> => {
  const { server } = run;
  const make = async (name: string, priority: bigint, cls: string, of: string): Promise<string> => {
    const uuid = await server.call(`${of}.get_uuid`, await first(server, of));
    const message = String(await server.call('message.create', name, priority, cls, uuid, 'quicktest'));
    run.later(() => server.call('message.destroy', message));
    return message;
  };
  const made = [
    await make('VM_EXPLODED', 100n, 'VM', 'VM'),
    await make('HOST_EXPLODED', 100n, 'Host', 'host'),
    await make('VM_DROWNED', 50n, 'VM', 'VM'),
  ];
  const finds = async (expression: string, ...wanted: readonly number[]): Promise<void> => {
    const found = await rowsWhere(server, 'message', expression);
    const places = made.flatMap((ref, at) => (found.has(ref) ? [at + 1] : []));
    same(places, wanted, `what ${expression} finds`);
  };
  await finds('field "name" = "VM_EXPLODED"', 1);
  await finds('field "priority" = "100"', 1, 2);
  await finds('field "cls" = "VM"', 1, 3);
  await finds('field "cls" = "VM" and field "priority" = "50"', 3);
  await finds('field "cls" = "VDI"');
  await finds('field "class" = "VM"');
  await finds('field "cls" = "VM" or field "name" = "HOST_EXPLODED"', 1, 2, 3);
};

const localTime = async ({ server }: Run): Promise<void> => {
  const time = await server.call('host.get_server_localtime', await first(server, 'host'));
  expect(typeof time === 'object' && time !== null && 'dateTime' in time, 'no time was answered');
};

const dayMs = 86_400_000;

const timeFormats = async ({ server }: Run): Promise<void> => {
  const extended = new Date(Date.now() - dayMs).toISOString().replace(/\.\d+Z$/, '');
  const compact = extended.replaceAll('-', '');
  for (const dateTime of [`${extended}Z`, extended, `${compact}Z`, compact, `${compact}-12:00`]) {
    await server.call('message.get_since', { dateTime });
  }
};

/** A server that is older than the class says so. */
const known = async (calling: Promise<Value>): Promise<Value> => {
  try {
    return await calling;
  } catch (error) {
    if (error instanceof Refused && error.code === 'MESSAGE_METHOD_UNKNOWN')
      throw new Skipped('the server has no rate limits');
    throw error;
  }
};

const limitOf = (burst: number, fill: number) =>
  struct({ name_label: 'quicktest', name_description: '', burst_size: burst, fill_rate: fill });

const newLimit = async (run: Run, burst: number, fill: number): Promise<string> => {
  const limit = String(await known(run.server.call('Rate_limit.create', limitOf(burst, fill))));
  run.later(() => run.server.call('Rate_limit.destroy', limit));
  return limit;
};

const badLimits = async (run: Run): Promise<void> => {
  const { server } = run;
  const refused = async (calling: Promise<Value>, what: string): Promise<void> => {
    const error = await refusal(calling, what);
    same(error instanceof Refused && error.code, 'INVALID_VALUE', `the answer to ${what}`);
  };
  const limit = await newLimit(run, 10, 40);
  for (const [burst, fill] of [
    [10, 0],
    [10, -1],
    [0, 40],
  ] as const) {
    await refused(server.call('Rate_limit.create', limitOf(burst, fill)), `burst ${burst} and fill ${fill}`);
  }
  await refused(server.call('Rate_limit.set_fill_rate', limit, 0.0), 'a fill rate of 0');
  await refused(server.call('Rate_limit.set_burst_size', limit, -1), 'a burst of -1');
};

const burst = 10;
const fillRate = 40;
const calls = 100;

const throttling = async (run: Run): Promise<void> => {
  const { server } = run;
  const agent = `quicktest-${process.pid}-${Date.now()}`;
  const record = struct({ name_label: 'quicktest', name_description: '', user_agent: agent, client_ip: '' });
  const caller = String(await known(server.call('Caller.create', record)));
  run.later(() => server.call('Caller.destroy', caller));
  const limit = await newLimit(run, burst, fillRate);
  await server.call('Rate_limit.add_caller', limit, caller);
  const limited = server.named(agent);
  for (let call = 0; call < 5; call += 1) await limited.call('pool.get_all');
  if (Number(await server.call('Caller.query_call_count', caller)) === 0)
    throw new Skipped('the server does not limit callers');
  const took = async (by: Client): Promise<number> => {
    const beganMs = performance.now();
    for (let call = 0; call < calls; call += 1) await by.call('pool.get_all');
    return performance.now() - beganMs;
  };
  const free = await took(server);
  const throttled = await took(limited);
  // How long a machine takes beyond that says nothing of the limit.
  const leastMs = Math.max(0, ((calls - burst) / fillRate) * 1000) * 0.9;
  expect(throttled >= leastMs, `${calls} calls took ${throttled} ms, at least ${leastMs} were expected`);
  expect(free < throttled, `calls of others took ${free} ms, limited ones ${throttled}`);
};

export const basics: readonly Scenario[] = [
  { name: 'uuid round trip', run: uuidRoundTrip },
  { name: 'message filters', run: messageFilters },
  { name: 'server local time', run: localTime },
  { name: 'message.get_since takes every form of time', run: timeFormats },
  { name: 'rate limits refuse bad values', run: badLimits },
  { name: 'rate limits slow their callers down', run: throttling },
];

export const asynchronous: readonly SrScenario[] = [
  {
    name: 'asynchronous copy',
    wanted: { ...disks, any: true },
    run: async (run, { ref }) => {
      const vdi = await newDisk(run, ref);
      const task = await run.server.call('Async.VDI.copy', vdi, ref, nullRef, nullRef);
      const copied = discard(run, await resultOf(run, String(task)));
      same(await run.server.call('VDI.get_SR', copied), ref, "the copy's repository");
    },
  },
];
