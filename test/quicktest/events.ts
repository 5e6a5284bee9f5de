import { expect, type Run, refusal, type Scenario, same } from './scenario.ts';
import { type Client, mapIn, type Row, rowsOf, textIn } from './server.ts';

interface Event {
  readonly ref: string;
  readonly operation: string;
  readonly snapshot: Row | undefined;
}

interface Batch {
  readonly token: string;
  readonly events: readonly Event[];
}

const from = async (
  server: Client,
  classes: readonly string[],
  token: string,
  seconds: number,
): Promise<Batch> => {
  const batch = (await server.call('event.from', classes, token, seconds + 0.001)) as Row;
  const events = (batch.get('events') as readonly Row[]).map((event) => ({
    ref: textIn(event, 'ref'),
    operation: textIn(event, 'operation'),
    snapshot: event.get('snapshot') as Row | undefined,
  }));
  return { token: textIn(batch, 'token'), events };
};

const key = 'event_next_test';

const poolOf = async (server: Client): Promise<string> => {
  const [pool = ''] = [...(await rowsOf(server, 'pool')).keys()];
  return pool;
};

const withoutKey = async (run: Run): Promise<string> => {
  const { server } = run;
  const pool = await poolOf(server);
  const remove = () => server.call('pool.remove_from_other_config', pool, key).catch(() => undefined);
  await remove();
  run.later(remove);
  return pool;
};

/** Longer than any server needs that tells of a change when it happens. */
const liveMs = 20_000;

const within = async <T>(doing: Promise<T>, what: string): Promise<T> => {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${liveMs / 1000} s`)), liveMs);
  });
  try {
    return await Promise.race([doing, late]);
  } finally {
    clearTimeout(timer);
  }
};

const another = async (run: Run): Promise<Client> => {
  const session = await run.server.logIn();
  run.later(() => session.logOut().catch(() => undefined));
  return session;
};

const logoutUnblocks = async (run: Run): Promise<void> => {
  const session = await another(run);
  await session.call('event.register', []);
  // Whatever there is from the registration on is taken first, so that the next call has to wait.
  const waits = (async () => {
    for (;;) await session.call('event.next');
  })();
  const over = refusal(waits, 'event.next after the logout');
  await run.server.call('pool.get_all');
  await session.logOut();
  await within(over, 'the end of event.next');
};

const nextSeesChanges = async (run: Run): Promise<void> => {
  const { server } = run;
  const session = await another(run);
  await session.call('event.register', ['pool']);
  const pool = await withoutKey(run);
  const seen = (async () => {
    for (;;) {
      await session.call('event.next');
      if (mapIn((await session.call('pool.get_record', pool)) as Row, 'other_config').has(key)) return;
    }
  })();
  seen.catch(() => undefined);
  await server.call('pool.add_to_other_config', pool, key, '1');
  await within(seen, 'the event');
};

const keySeen = async (server: Client, pool: string): Promise<void> => {
  for (let token = ''; ; ) {
    token = (await from(server, ['pool'], token, 10)).token;
    if (mapIn((await server.call('pool.get_record', pool)) as Row, 'other_config').has(key)) return;
  }
};

const fromSeesChanges = async (run: Run): Promise<void> => {
  const { server } = run;
  const pool = await withoutKey(run);
  const seen = keySeen(server, pool);
  seen.catch(() => undefined);
  await server.call('pool.add_to_other_config', pool, key, '1');
  await within(seen, 'the event');
};

const inParallel = async (run: Run): Promise<void> => {
  const { server } = run;
  const pool = await withoutKey(run);
  const nothing = from(server, [], '', 1);
  const seen = keySeen(server, pool);
  seen.catch(() => undefined);
  nothing.catch(() => undefined);
  await server.call('pool.add_to_other_config', pool, key, '1');
  await within(seen, 'the event');
  same((await within(nothing, 'the wait for nothing')).events.length, 0, 'how much came of no class');
};

const oneObject = async (run: Run): Promise<void> => {
  const { server } = run;
  const [a = '', b = ''] = [...(await rowsOf(server, 'VM')).keys()];
  expect(b !== '', 'there are fewer than two VMs');
  const change = async (vm: string): Promise<void> => {
    const remove = () => server.call('VM.remove_from_other_config', vm, key).catch(() => undefined);
    await remove();
    run.later(remove);
    await server.call('VM.add_to_other_config', vm, key, '1');
  };
  const { token } = await from(server, [`vm/${a}`], '', 1);
  const refs: string[] = [];
  const seen = (async () => {
    for (let last = token; ; ) {
      const batch = await from(server, [`vm/${a}`], last, 10);
      last = batch.token;
      refs.push(...batch.events.map(({ ref }) => ref));
      if (batch.events.some(({ snapshot }) => snapshot && mapIn(snapshot, 'other_config').has(key))) return;
    }
  })();
  seen.catch(() => undefined);
  await change(b);
  await change(a);
  await within(seen, 'the event');
  expect(
    refs.every((ref) => ref === a),
    `events of ${a} were of ${refs.join()} too`,
  );
};

const ofRef = (batch: Batch, ref: string): readonly string[] =>
  batch.events.filter((event) => event.ref === ref).map(({ operation }) => operation);

const messages = async (run: Run): Promise<void> => {
  const { server } = run;
  const pool = await poolOf(server);
  const uuid = await server.call('pool.get_uuid', pool);
  const make = async (): Promise<string> => {
    const ref = String(await server.call('message.create', 'QUICKTEST', 5n, 'Pool', uuid, 'quicktest'));
    run.later(() => server.call('message.destroy', ref).catch(() => undefined));
    return ref;
  };
  const { token } = await from(server, ['message'], '', 1);
  const one = await make();
  same(ofRef(await from(server, ['message'], token, 10), one), ['add'], 'what is told of a new message');
  await server.call('message.destroy', one);
  const told = ofRef(await from(server, ['message'], token, 10), one);
  expect(told.includes('del'), `of a destroyed message ${told.join() || 'nothing'} is told`);
  const anew = ofRef(await from(server, ['message'], '', 1), one);
  expect(
    anew.every((operation) => operation === 'del'),
    `of one that is gone ${anew.join()} is told`,
  );

  const [second, third] = [await make(), await make()];
  const both = await from(server, ['message'], token, 10);
  same([ofRef(both, second), ofRef(both, third)], [['add'], ['add']], 'what is told of two messages');
  const fourth = await make();
  const later = await from(server, ['message'], both.token, 10);
  same(
    later.events.map(({ ref }) => ref),
    [fourth],
    'what is told afterwards',
  );
  const all = await server.call('message.get', 'Pool', uuid, { dateTime: '19700101T00:00:00Z' });
  const missing = [second, third, fourth].filter((ref) => !(all as Row).has(ref));
  same(missing, [], 'what message.get lacks');
};

const injected = async (run: Run): Promise<void> => {
  const { server } = run;
  const pool = await poolOf(server);
  const { token } = await from(server, ['pool'], '', 1);
  const woken = from(server, ['pool'], token, 60);
  woken.catch(() => undefined);
  await server.call('event.inject', 'pool', pool);
  const { events } = await within(woken, 'the injected event');
  expect(
    events.some(({ ref }) => ref === pool),
    'no event of the pool came',
  );
};

const noDuplicates = async ({ server }: Run): Promise<void> => {
  const { events } = await from(server, ['vm'], '', 10);
  same(new Set(events.map(({ ref }) => ref)).size, events.length, 'how many VMs were told of');
};

export const events: readonly Scenario[] = [
  { name: 'logout ends event.next', run: logoutUnblocks },
  { name: 'event.next sees changes', run: nextSeesChanges },
  { name: 'event.from sees changes', run: fromSeesChanges },
  { name: 'event.from side by side', run: inParallel },
  { name: 'events of one object', run: oneObject },
  { name: 'messages as events', run: messages },
  { name: 'event.inject', run: injected },
  { name: 'no object twice in one batch', run: noDuplicates },
];
