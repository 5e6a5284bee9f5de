import type { Ref } from '../../../src/model/types.ts';
import type { Value } from '../../../src/std/value.ts';
import { at } from '../../edge/served.ts';
import { type Adapter, against, byName } from '../subject.ts';
import { type Live, live, putVm, waiting } from './live.ts';

interface Heard {
  readonly token: string;
  readonly events: readonly {
    readonly op: string;
    readonly cls: string;
    readonly ref: string;
    readonly event: Value;
  }[];
}

const heard = (batch: Value): Heard => ({
  token: at(batch, 'token'),
  events: (at(batch, 'events') as readonly Value[]).map((event) => ({
    op: at(event, 'operation'),
    cls: at(event, 'class'),
    ref: at(event, 'ref'),
    event,
  })),
});

const from = async (
  { host, root }: Live,
  classes: readonly string[],
  token: string,
  timeoutS = 10,
): Promise<Heard> => heard(await host.call('event.from', root, classes, token, timeoutS));

const now = async (here: Live): Promise<string> => (await from(here, ['*'], '', 0)).token;

const brief = ({ events }: Heard, of?: string): readonly string[] =>
  events.filter(({ ref }) => of === undefined || ref === of).map(({ op, cls, ref }) => `${op} ${cls} ${ref}`);

const network = (here: Live, ref: string): Promise<void> =>
  here.rows((tx) => tx.create('network', ref as Ref<'network'>, { uuid: ref, name_label: ref }));
const rename = (here: Live, ref: string, name_label: string): Promise<void> =>
  here.rows((tx) => tx.patch('network', ref as Ref<'network'>, { name_label }));
const remove = (here: Live, ref: string): Promise<void> =>
  here.rows((tx) => tx.delete('network', ref as Ref<'network'>));

const message = async (here: Live, name: string): Promise<string> =>
  here.host.call('message.create', here.root, name, 3n, 'Pool', await poolUuid(here), 'text');
const poolUuid = (here: Live): Promise<string> =>
  here.host.call('pool.get_uuid', here.root, here.host.world.pool);

/** A call that waits on a session which then logs out. */
const loggedOut = (call: (here: Live, session: string) => Promise<unknown>): Adapter =>
  live(async (here) => {
    const session = await here.host.session();
    const blocked = call(here, session);
    await waiting(here, 1);
    await here.host.call('session.logout', session);
    return against(await blocked, { error: ['SESSION_INVALID', session] });
  });

const poolConfig = (here: Live, key: string): Promise<unknown> =>
  here.host.call('pool.add_to_other_config', here.root, here.host.world.pool, key, '1');

const scripts: Readonly<Record<string, Adapter>> = {
  'creating a connector also reports the parent': live(async (here) => {
    await here.rows((tx) => void putVm(tx, 'vm'));
    const token = await now(here);
    await here.rows((tx) =>
      tx.create('VBD', 'vbd' as Ref<'VBD'>, { uuid: 'vbd', VM: 'vm' as Ref<'VM'>, empty: true }),
    );
    return against(brief(await from(here, ['vm', 'vbd'], token)).toSorted(), ['add vbd vbd', 'mod vm vm']);
  }),
  'destroying a connector also reports the parent': live(async (here) => {
    await here.rows((tx) => {
      const VM = putVm(tx, 'vm');
      tx.create('VBD', 'vbd' as Ref<'VBD'>, { uuid: 'vbd', VM, empty: true });
    });
    const token = await now(here);
    await here.rows((tx) => tx.delete('VBD', 'vbd' as Ref<'VBD'>));
    return against(brief(await from(here, ['vm', 'vbd'], token)).toSorted(), ['del vbd vbd', 'mod vm vm']);
  }),
  'event.next without register': live(async (here) => {
    const { uuid } = here.host.world.store.committed.require('session', here.root);
    return against(await here.tried('event.next'), { error: ['SESSION_NOT_REGISTERED', uuid] });
  }),
  'logging out unblocks event.next': loggedOut(async (here, session) => {
    await here.host.call('event.register', session, []);
    return here.host.json('event.next', session);
  }),
  'logging out unblocks event.from': loggedOut(async (here, session) =>
    here.host.json('event.from', session, ['network'], await now(here), 30),
  ),
  'event.from delivers a pool.other_config change': live(async (here) => {
    const blocked = from(here, ['pool'], await now(here));
    await waiting(here, 1);
    await poolConfig(here, 'event_from_test');
    return against(brief(await blocked), [`mod pool ${here.host.world.pool}`]);
  }),
  'two event.from calls of one session do not disturb each other': live(async (here) => {
    const token = await now(here);
    const [nothing, pool] = [from(here, [], token, 0.05), from(here, ['pool'], token)];
    await waiting(here, 2);
    await poolConfig(here, 'key');
    return against([brief(await nothing), brief(await pool)], [[], [`mod pool ${here.host.world.pool}`]]);
  }),
  'short-lived objects: creation and deletion between two calls is not reported': live(async (here) => {
    const token = await now(here);
    await network(here, 'x');
    await remove(here, 'x');
    return against(brief(await from(here, ['*'], token, 0), 'x'), []);
  }),
  'deleted object known to the client is reported once as del without snapshot': live(async (here) => {
    await network(here, 'x');
    const token = await now(here);
    await remove(here, 'x');
    const { events } = await from(here, ['network'], token);
    const seen = events.map(({ op, ref, event }) => [op, ref, (event as Map<string, Value>).has('snapshot')]);
    return against(seen, [['del', 'x', false]]);
  }),
  'several modifications collapse into one mod event with the latest snapshot': live(async (here) => {
    await network(here, 'x');
    const token = await now(here);
    await rename(here, 'x', 'a');
    await rename(here, 'x', 'b');
    const { events } = await from(here, ['network'], token);
    return against(
      events.map(({ op, event }) => [op, at(event, 'snapshot', 'name_label')]),
      [['mod', 'b']],
    );
  }),
  'empty token lists every current object as add': live(async (here) => {
    await here.rows((tx) => void [putVm(tx, 'a'), putVm(tx, 'b')]);
    const { events } = await from(here, ['vm'], '');
    return against(
      events.map(({ op, ref, event }) => [op, ref, at(event, 'snapshot', 'name_label')]).sort(),
      [
        ['add', 'a', 'a'],
        ['add', 'b', 'b'],
      ],
    );
  }),
  'order within one reply: creations before modifications before deletions': live(async (here) => {
    await network(here, 'y');
    await network(here, 'z');
    const token = await now(here);
    await remove(here, 'z');
    await rename(here, 'y', 'other');
    await network(here, 'x');
    return against(brief(await from(here, ['network'], token)), [
      'add network x',
      'mod network y',
      'del network z',
    ]);
  }),
  'valid_ref_counts counts every table, lower-case names': live(async ({ host, root }) => {
    const counts: Map<string, bigint> = at(
      await host.call('event.from', root, ['vm'], '', 0),
      'valid_ref_counts',
    );
    const { store, catalog } = host.world;
    const tables = catalog.classes.map(({ name }) => [
      name.toLowerCase(),
      BigInt(store.tables.get(name)?.count ?? 0),
    ]);
    return against(counts, new Map(tables as [string, bigint][]));
  }),
  'bad token': live(async ({ tried }, { when, then }) =>
    against(await tried('event.from', ['vm'], when['token'], 1), { error: then['error'] }),
  ),
  'event.inject of a valid object returns a token below the event it causes': live(async (here) => {
    await here.rows((tx) => void putVm(tx, 'vm'));
    const injected: string = await here.host.call('event.inject', here.root, 'VM', 'vm');
    const batch = await from(here, ['vm'], injected);
    return against([brief(batch), injected < batch.token], [['mod vm vm'], true]);
  }),
  'event.inject of a reference of another class': live(async (here) => {
    await network(here, 'net');
    return against(await here.tried('event.inject', 'VM', 'net'), { error: ['HANDLE_INVALID', 'VM', 'net'] });
  }),
  'message destroy is delivered as del': live(async (here) => {
    const token = await now(here);
    const made = await message(here, 'one');
    await here.host.call('message.destroy', here.root, made);
    return against(brief(await from(here, ['message'], token, 1)), [`del message ${made}`]);
  }),
  'a destroyed message is never in a fresh listing': live(async (here) => {
    const made = await message(here, 'one');
    await here.host.call('message.destroy', here.root, made);
    const { events } = await from(here, ['message'], '', 0);
    return against(
      events.filter(({ ref, op }) => ref === made && op !== 'del').map(({ op }) => op),
      [],
    );
  }),
  'messages created after a token are the only ones delivered': live(async (here) => {
    await message(here, 'one');
    await message(here, 'two');
    const { token } = await from(here, ['message'], '', 0);
    const third = await message(here, 'three');
    return against(brief(await from(here, ['message'], token, 1)), [`add message ${third}`]);
  }),
  'every reply has a token not smaller than the one given': live(async (here) => {
    const token = await now(here);
    await network(here, 'x');
    const next = await from(here, ['network'], token);
    return against(next.token >= token, true);
  }),
};

/** One end of a relation: a reference, or a set of them. */
interface End {
  readonly cls: any;
  readonly field: string;
  readonly many: boolean;
}

const endOf = ({ host }: Live, text: string): End => {
  const [cls = '', field = ''] = text.split('.');
  const declared = host.world.store.schemas.get(cls)?.cls.fields[field];
  if (declared === undefined) throw new Error(`${text} is not declared`);
  return { cls, field, many: declared.type.kind === 'set' };
};

/**
 * Rows are made, pointed at each other, pointed elsewhere and deleted; each time whoever gains or loses a
 * member must have it so and be heard of, unless its class has no events at all.
 */
const relation: Adapter = live(async (here, { then }) => {
  const { store } = here.host.world;
  const [near, far] = (then['ends'] as [string, string]).map((text) => endOf(here, text)) as [End, End];
  const [pointing, pointed] = near.many && !far.many ? [far, near] : [near, far];
  const hears = store.schemas.get(pointed.cls)?.cls.events !== false;
  const itself = pointing.cls === pointed.cls && pointing.field === pointed.field;
  const make = (cls: any, ref: string, fields = {}): Promise<void> =>
    here.rows((tx) => tx.create(cls, ref as never, { uuid: ref, ...fields }));
  const value = (ref: string): unknown => (pointing.many ? [ref] : ref);
  for (const ref of ['x', 'y']) await make(pointed.cls, ref);
  const found: unknown[] = [];
  const expected: unknown[] = [];
  const step = async (
    change: () => Promise<void>,
    members: Readonly<Record<string, readonly string[]>>,
  ): Promise<void> => {
    const token = await now(here);
    await change();
    const modified = brief(await from(here, [pointed.cls], token, 0)).filter((one) => one.startsWith('mod'));
    for (const [ref, has] of Object.entries(members)) {
      const record = store.committed.require(pointed.cls, ref as never) as Record<string, unknown>;
      const is = record[pointed.field];
      found.push([ref, pointed.many ? is : [is].filter((one) => one !== 'OpaqueRef:NULL')]);
      expected.push([ref, has]);
      found.push([ref, modified.includes(`mod ${pointed.cls.toLowerCase()} ${ref}`)]);
      expected.push([ref, hears]);
    }
  };
  if (itself) return reflexive(here, pointing);
  await step(() => make(pointing.cls, 'a', { [pointing.field]: value('x') }), { x: ['a'] });
  await step(
    () => here.rows((tx) => tx.patch(pointing.cls, 'a' as never, { [pointing.field]: value('y') } as never)),
    { x: [], y: ['a'] },
  );
  await step(() => here.rows((tx) => tx.delete(pointing.cls, 'a' as never)), { y: [] });
  if (pointing.many && pointed.many) {
    await make(pointing.cls, 'b');
    const token = await now(here);
    await here.rows((tx) => tx.patch(pointed.cls, 'x' as never, { [pointed.field]: ['b'] } as never));
    const record = store.committed.require(pointing.cls, 'b' as never) as Record<string, unknown>;
    found.push(record[pointing.field], brief(await from(here, [pointing.cls], token, 0), 'b'));
    expected.push(['x'], [`mod ${pointing.cls.toLowerCase()} b`]);
  }
  return against(found, expected);
});

/** A set that is its own other end says only what its own row holds. */
const reflexive = async (here: Live, { cls, field }: End): Promise<unknown> => {
  const token = await now(here);
  await here.rows((tx) => tx.patch(cls, 'x' as never, { [field]: ['y'] } as never));
  const record = here.host.world.store.committed.require(cls, 'x' as never) as Record<string, unknown>;
  return against(
    [record[field], brief(await from(here, [cls], token, 0), 'x')],
    [['y'], [`mod ${cls.toLowerCase()} x`]],
  );
};

/** Relations are data, everything else is prose. */
export const eventSemantics: Adapter = (one) =>
  one.name.startsWith('relation ') ? relation(one) : byName(scripts)(one);
