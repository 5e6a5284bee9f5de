import { isDeepStrictEqual } from 'node:util';
import type { Value } from '../../../src/std/value.ts';
import { at } from '../../edge/served.ts';
import { type Adapter, skip } from '../subject.ts';
import { type Act, actOf, type Change, create, declare, forms, named, perform } from './acts.ts';
import { brief, classesOf, type Event, from, fromForm, type Heard, heard, inEvent, now } from './heard.ts';
import { bound, call, common, errorOf, type Pair, type Phrase, type Scene, told } from './prose.ts';
import { relation } from './relations.ts';
import { plain } from './rows.ts';

/** With `<x>` of `vm/<x>` as the reference of the object. */
const watched = ({ objects }: Scene, classes: readonly string[]): readonly string[] =>
  classes.map((one) => one.replace(/<.+>/, (name) => objects.known(name) ?? name));

/** `T` is the token of the case, another text is itself. */
const tokenOf = ({ kept }: Scene, text: string): string =>
  /^(T|token)$/.test(text) ? kept.get('token') : text.replaceAll('"', '');

type Blocked = Promise<{ readonly value: Value } | { readonly error: readonly string[] }>;

/** Starts a call and goes on when it waits, or has ended already. */
const block = async (scene: Scene, key: string, reply: Blocked): Promise<void> => {
  const { edge } = scene.host;
  const before = edge.waiting;
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  scene.kept.set(key, reply);
  reply.then(end, end);
  while (!ended && edge.waiting <= before) await new Promise((resolve) => setImmediate(resolve));
};

const blockedOn = (scene: Scene, method: string): Promise<void> => {
  const { host, session, kept } = scene;
  const classes = watched(scene, classesOf(scene.one));
  const args = method === 'event.from' ? [classes, kept.get('token'), 30] : [];
  return block(scene, 'blocked', host.json(method, session, ...args));
};

/** What a case has happen before anything is done; the token is taken when all is there that is given. */
const begin = async (scene: Scene): Promise<void> => {
  const { kept, host, objects } = scene;
  if (kept.has('token')) return;
  kept.set('token', await now(scene));
  for (const name of kept.get('late') ?? []) await create(scene, { cls: name.slice(1, -1), name });
  await objects.make();
  const awaited = Object.keys(scene.one.then).map(
    (key) => /^an? blocked (event\.\w+) returns/.exec(key)?.[1],
  );
  const method: string | undefined = kept.get('blocks') ?? awaited.find((one) => one !== undefined);
  const { thread = () => Promise.resolve() } = Object.fromEntries(kept);
  if (kept.has('blocks')) {
    scene.session = await host.session({ auth_user_sid: 'sid' });
    objects.bind('<session>', scene.session);
  }
  const registers = kept.get('register') ?? (method === 'event.next' ? classesOf(scene.one) : undefined);
  if (registers !== undefined) await host.call('event.register', scene.session, registers);
  if (method !== undefined) await blockedOn(scene, method);
  await thread();
};

/** Whoever is changed must be there; whom a step makes is not there before. */
const prepare = (scene: Scene): void => {
  const { one, kept, host, root, objects } = scene;
  kept.set('changes', []);
  objects.bind('<session>', root);
  objects.bind('<session track id>', host.world.store.committed.require('session', root).uuid);
  const made = new Set<string>(kept.get('late'));
  for (const step of [one.when['do'] ?? []].flat()) {
    const act = actOf(scene, step);
    if (act === undefined) continue;
    if (act.owner !== undefined) declare(scene, act.owner);
    if (act.verb === 'create') made.add(act.name);
    else if (!made.has(act.name) && objects.known(act.name) === undefined) declare(scene, act.name, act.cls);
  }
  const [, cls] = /^one \w+ .*per existing (\w+)/.exec(String(one.then['events'])) ?? [];
  if (cls !== undefined && objects.classNamed(cls)?.needs === undefined) {
    for (const which of ['1', '2']) declare(scene, named(cls, which), cls);
  }
};

/** `VBD <vbd> of <vm>`, `<x> and <y>`, `messages 1 and 2`, `the message`. */
const existing = async (scene: Scene, text: string): Promise<void> => {
  const object = /(?:(\w+) )?(<[^>]+>)(?: (?:on|of|in|for) (<[^>]+>))?/g;
  for (const [, word = '', name = '', owner] of text.matchAll(object)) {
    const cls = scene.objects.classNamed(word) === undefined ? undefined : word;
    await create(scene, {
      name,
      ...(cls === undefined ? {} : { cls }),
      ...(owner === undefined ? {} : { owner }),
    });
  }
  const [, words = '', numbers = ''] = /(\w+?)s? ((?:\d+(?:, and |, | and )?)+)/.exec(text) ?? [];
  for (const which of numbers.match(/\d+/g) ?? [])
    await create(scene, { cls: words, name: named(words, which) });
  const [, alone = ''] = /the (\w+)/.exec(text) ?? [];
  if (scene.objects.classNamed(alone) !== undefined)
    await create(scene, { cls: alone, name: named(alone, '') });
};

const late = (scene: Scene, text: string): void => {
  const [, alone] = /the (\w+)/.exec(text) ?? [];
  const names = text.match(/<[^>]+>/g) ?? (alone === undefined ? [] : [named(alone, '')]);
  const steps = [scene.one.when['do'] ?? []].flat().map((step) => actOf(scene, step));
  const makes = (name: string) => steps.some((act) => act?.verb === 'create' && act.name === name);
  scene.kept.set(
    'late',
    names.filter((name) => !makes(name)),
  );
};

const given: readonly Phrase<void>[] = [
  [/^token: (?:T|taken)?$/, () => undefined],
  [/^token: (?:T, )?(?:taken |returned )?after (.+)$/, (scene, [text = '']) => existing(scene, text)],
  [/^token: (?:T, )?(?:taken |returned )?before (.+)$/, (scene, [text = '']) => late(scene, text)],
  [/^classes: \[/, () => undefined],
  [/^event\.register: not called$/, () => undefined],
  [/^event\.register: \[/, ({ kept }, _, classes) => void kept.set('register', classes)],
  [
    /^(?:another|a) thread: (?:is )?blocked in (event\.(?:from|next)) on the same session$/,
    ({ kept }, [method]) => void kept.set('blocks', method),
  ],
  [
    /^thread (\w+): (event\.from\(.*\))$/,
    (scene, [key = '', text = '']) => {
      const [, classes = '[]', token = '', timeout = '10'] =
        fromForm.exec(text) ?? skip(`${text} is no call`);
      const before = scene.kept.get('thread') ?? (() => Promise.resolve());
      const start = async (): Promise<void> => {
        await before();
        const args = [watched(scene, JSON.parse(classes)), tokenOf(scene, token), Number(timeout)];
        await block(scene, `thread ${key}`, scene.host.json('event.from', scene.session, ...args));
        scene.kept.set(`classes of ${key}`, JSON.parse(classes));
      };
      scene.kept.set('thread', start);
    },
  ],
  [/^object: (<.+>)$/, (scene, [name = '']) => declare(scene, name)],
  [/^(<.+>): (?:gone|destroyed|deleted|does not exist)\b/, () => undefined],
  ...common.given,
];

const ask = async (
  scene: Scene,
  classes: readonly string[],
  token: string,
  timeoutS: number,
): Promise<void> => {
  const { host, session } = scene;
  const reply = await host.json('event.from', session, watched(scene, classes), token, timeoutS);
  scene.answer = 'error' in reply ? reply : reply.value;
};

const steps: readonly Phrase<void>[] = [
  ...forms.map(
    ([form, read]): Phrase<void> => [
      form,
      async (scene, words) => {
        const change = await perform(scene, read(words, scene) as Act);
        scene.kept.get('changes').push(change);
      },
    ],
  ),
  [
    /^event\.from(?: with token T)?$/,
    (scene) => {
      const { token, timeout } = scene.one.when;
      const [empty] = [scene.one.given['token'] === ''];
      const from = token === undefined ? scene.kept.get('token') : tokenOf(scene, token);
      return ask(scene, classesOf(scene.one), empty ? '' : from, timeout ?? 0);
    },
  ],
  [
    fromForm,
    (scene, [classes = '[]', token = '', timeout]) =>
      ask(scene, JSON.parse(classes), tokenOf(scene, token), Number(timeout)),
  ],
  [
    /^event\.(register|unregister)\((\[.*\])\)$/,
    ({ host, session }, [method, classes = '']) => host.call(`event.${method}`, session, JSON.parse(classes)),
  ],
  [/^session\.logout$/, async ({ host, session }) => void (await host.call('session.logout', session))],
  [
    /^session\.logout_subject_identifier$/,
    async ({ host, root }) => void (await host.call('session.logout_subject_identifier', root, 'sid')),
  ],
  [/^(event\.\w+)$/, (scene, [method = '']) => call(scene, method)],
];

const when = steps.map(
  ([form, does]): Phrase<void> => [
    form,
    async (scene, words, value) => {
      await begin(scene);
      await does(scene, words, value);
    },
  ],
);

const eventsIn = (scene: Scene): readonly Event[] => {
  const error = errorOf(scene);
  if (error !== undefined) throw new Error(`The call failed: ${error.join(' ')}`);
  return heard(scene.answer as Value).events;
};

const refOf = ({ objects }: Scene, name: string): string =>
  objects.known(/^<.+>$/.test(name) ? name : `<${name}>`) ?? skip(`there is no ${name}`);

type Pattern = Readonly<Record<string, unknown>>;

/** What an event says of the keys of a pattern, in its words. */
const said = ({ op, cls, ref, event }: Event, pattern: Pattern): Pattern => {
  const has = (path: string): string => (inEvent(event, path) === undefined ? 'absent' : 'present');
  const of = (key: string): unknown => {
    if (key === 'op' || key === 'operation') return op;
    if (key === 'class') return cls;
    if (key === 'ref') return ref;
    return /^(absent|present)$/.test(String(pattern[key])) ? has(key) : plain(inEvent(event, key));
  };
  return Object.fromEntries(Object.keys(pattern).map((key) => [key, of(key)]));
};

const meant = (scene: Scene, { count: _, ...pattern }: Pattern): Pattern =>
  Object.fromEntries(
    Object.entries(pattern).map(([key, value]) => {
      if (key === 'ref') return [key, refOf(scene, String(value))];
      return [key, key === 'class' ? String(value).toLowerCase() : bound(scene, value, undefined)];
    }),
  );

const matching = (scene: Scene, events: readonly Event[], pattern: Pattern): readonly Event[] => {
  const expected = meant(scene, pattern);
  return events.filter((one) => isDeepStrictEqual(said(one, expected), expected));
};

/** So many of each, and nothing else. */
const listed = (scene: Scene, patterns: readonly Pattern[]): Pair => {
  const events = eventsIn(scene);
  const each = patterns.map((one) => matching(scene, events, one));
  const others = events.filter((one) => !each.some((some) => some.includes(one)));
  const counts = patterns.map(({ count }, i) => count ?? Math.max(1, each[i]?.length ?? 0));
  return [
    [each.map((some) => some.length), brief({ token: '', events: others })],
    [counts, []],
  ];
};

const inOrder = (scene: Scene, name: string, patterns: readonly Pattern[]): Pair => {
  const ref = refOf(scene, name);
  const events = eventsIn(scene).filter((one) => one.ref === ref);
  const expected = patterns.map((one) => meant(scene, one));
  return [events.map((one, i) => said(one, expected[i] ?? { op: '' })), expected];
};

const onePerRow = (scene: Scene, op: string, how: string, word: string, no: string): Pair => {
  const cls = scene.objects.classNamed(word) ?? skip(`there is no class ${word}`);
  const rows = [...scene.host.world.store.committed.all(cls.name as never)].map(([ref]) => String(ref));
  const events = eventsIn(scene).filter((one) => one.cls === String(cls.name).toLowerCase());
  const snapshot = ({ event }: Event) => (inEvent(event, 'snapshot') === undefined ? 'without' : 'with');
  return [
    [
      events.map((one) => `${one.op} ${one.ref} ${snapshot(one)}`).sort(),
      events.some((one) => one.op === no),
    ],
    [rows.map((ref) => `${op} ${ref} ${how}`).sort(), false],
  ];
};

const ends = async (scene: Scene, key: string): Promise<Awaited<Blocked>> =>
  (await scene.kept.get(key)) ?? skip(`nothing waits as ${key}`);

/** What was done is heard of by whoever waited for these classes. */
const tells = async (scene: Scene, key: string, classes: readonly string[]): Promise<Pair> => {
  const reply = await ends(scene, key);
  if ('error' in reply) return [reply, 'no error'];
  const lower = classes.map((one) => one.toLowerCase());
  const changes = (scene.kept.get('changes') as Change[])
    .filter(({ cls }) => lower.includes('*') || lower.some((one) => one.split('/')[0] === cls))
    .map(({ op, cls, ref }) => `${op} ${cls} ${ref}`);
  const found = brief(heard(reply.value));
  return [
    [changes.length > 0, changes.filter((one) => found.includes(one))],
    [true, changes],
  ];
};

const everyTable = (scene: Scene): Pair => {
  const { store, catalog } = scene.host.world;
  const tables = catalog.classes.map(({ name }): [string, bigint] => [
    name.toLowerCase(),
    BigInt(store.tables.get(name)?.count ?? 0),
  ]);
  return [at(scene.answer as Value, 'valid_ref_counts'), new Map(tables)];
};

const injected = async (scene: Scene): Promise<Pair> => {
  const { class: cls, ref } = scene.one.when;
  const token = scene.answer as string;
  const batch: Heard = await from(scene, [cls], token);
  const name = scene.objects.known(ref) ?? ref;
  const mod = `mod ${String(cls).toLowerCase()} ${name}`;
  return [
    [brief(batch).filter((one) => one === mod), token < batch.token],
    [[mod], true],
  ];
};

const tokenIn = (scene: Scene): string => at(scene.answer as Value, 'token');

const included = (scene: Scene, names: unknown): Pair => {
  const refs = ([names].flat() as string[]).map((name) => refOf(scene, name));
  const events = eventsIn(scene);
  return [refs.filter((ref) => events.some((one) => one.ref === ref)), refs];
};

const absent = (scene: Scene, names: unknown, but?: string): Pair => {
  const refs = ([names].flat() as string[]).map((name) => refOf(scene, name));
  const events = eventsIn(scene).filter(({ ref, op }) => refs.includes(ref) && op !== but);
  return [brief({ token: '', events }), []];
};

const expects: readonly Phrase<Pair | undefined>[] = [
  [/^events: \[/, (scene, _, patterns) => listed(scene, patterns)],
  [/^events: (?:none|nothing)$/, (scene) => listed(scene, [])],
  [
    /^events: one (add|mod|del) (with|without) snapshot per existing (\w+)(?:, no (\w+))?$/,
    (scene, [op = '', how = '', cls = '', no = '']) => onePerRow(scene, op, how, cls, no),
  ],
  [/^events for (<.+>): \[/, (scene, [name = ''], patterns) => inOrder(scene, name, patterns)],
  [
    /^events contain: [[{]/,
    (scene, _, patterns) => {
      const wanted = [patterns].flat() as Pattern[];
      return [wanted.map((one) => matching(scene, eventsIn(scene), one).length > 0), wanted.map(() => true)];
    },
  ],
  [/^events include: /, (scene, _, names) => included(scene, names)],
  [/^events exclude: /, (scene, _, names) => absent(scene, names)],
  [/^no events? for: /, (scene, _, names) => absent(scene, names)],
  [/^no event other than (add|mod|del) for: /, (scene, [op], names) => absent(scene, names, op)],
  [
    /^order of ops: \[/,
    (scene, _, order) => {
      const refs = new Set((scene.kept.get('changes') as Change[]).map(({ ref }) => ref));
      return [eventsIn(scene).flatMap(({ op, ref }) => (refs.has(ref) ? [op] : [])), order];
    },
  ],
  [/^valid_ref_counts: a map from every lower-case class name to its number of rows/, everyTable],
  [
    /^valid_ref_counts: \{/,
    (scene, _, counts) => {
      const all: ReadonlyMap<string, bigint> = at(scene.answer as Value, 'valid_ref_counts');
      return [Object.fromEntries(Object.keys(counts).map((key) => [key, Number(all.get(key))])), counts];
    },
  ],
  [/^token: strictly smaller .*than the token returned by the event\.from/, injected],
  [
    /^token: (?:>=|at least|not smaller than) T\b/,
    (scene) => [tokenIn(scene) >= scene.kept.get('token'), true],
  ],
  [
    /^token: (?:>|strictly (?:greater|larger) than) T\b/,
    (scene) => [tokenIn(scene) > scene.kept.get('token'), true],
  ],
  [
    /^the blocked call returns within: /,
    async (scene) => {
      const reply = await ends(scene, 'blocked');
      return ['error' in reply || heard(reply.value).events.length > 0, true];
    },
  ],
  [
    /^(?:the blocked call returns )?with: \[/,
    async (scene, _, value) => {
      const reply = await ends(scene, 'blocked');
      const found = 'error' in reply ? reply.error : [];
      return [found, bound(scene, value, found)];
    },
  ],
  [
    /^an? blocked event\.(?:from|next) returns within: /,
    (scene) => tells(scene, 'blocked', scene.kept.get('register') ?? classesOf(scene.one)),
  ],
  [
    /^(\w+): returns with the change/,
    (scene, [key]) => tells(scene, `thread ${key}`, scene.kept.get(`classes of ${key}`) ?? []),
  ],
  [
    /^(\w+): returns (normally, no error|.*no events?|nothing)$/,
    async (scene, [key, how = '']) => {
      const reply = await ends(scene, `thread ${key}`);
      if ('error' in reply) return [reply, 'no error'];
      const classes = scene.kept
        .get(`classes of ${key}`)
        .map((one: string) => one.toLowerCase().split('/')[0]);
      const events = heard(reply.value).events.filter(
        ({ cls }) => how !== 'normally, no error' || !(classes.includes(cls) || classes.includes('*')),
      );
      return [brief({ token: '', events }), []];
    },
  ],
  ...common.expects,
];

const scripted = told({ given, when, expects, prepare });

/** Relations are data, everything else is prose. */
export const eventSemantics: Adapter = (one) => ('ends' in one.then ? relation(one) : scripted(one));
