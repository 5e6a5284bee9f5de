import { connect } from 'node:net';
import { readXmlRpcResponse } from '../../../src/codec/xmlrpc-reader.ts';
import { collectorOf } from '../../../src/objects/collector.ts';
import { type Adapter, skip } from '../subject.ts';
import type { Live } from './live.ts';
import { argumentsOf, call, common, errorOf, type Pair, type Phrase, type Scene, told } from './prose.ts';

const collect = ({ host }: Live): Promise<number> =>
  collectorOf({ catalog: host.world.catalog, store: host.world.store, clock: host.world.services.clock })();

/** A call whose last text is bytes that are no text, as no client library would write it. */
const rawCall = async (scene: Scene, method: string, bytes: Buffer): Promise<void> => {
  const { host, session, objects } = scene;
  const { 'value bytes': _, ...said } = scene.one.when;
  const params = argumentsOf(scene, method, { ...said, value: '' });
  await objects.make();
  const escaped = (text: unknown): string => String(text).replaceAll('<', '&lt;');
  const members = [session, ...params.slice(0, -1)].map(
    (one) => `<param><value>${escaped(one)}</value></param>`,
  );
  const open = `<methodCall><methodName>${method}</methodName><params>${members.join('')}<param><value>`;
  const close = Buffer.from('</value></param></params></methodCall>');
  const body = Buffer.concat([Buffer.from(open), bytes, close]);
  const head = `POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`;
  const reply = await new Promise<string>((resolve, reject) => {
    const socket = connect(host.port, '127.0.0.1');
    const parts: Buffer[] = [];
    socket.once('error', reject);
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.once('end', () => resolve(Buffer.concat(parts).toString('utf8').split('\r\n\r\n')[1] ?? ''));
    socket.write(head);
    socket.write(body);
  });
  const { kind } = readXmlRpcResponse(reply);
  scene.kept.set('refused', kind === 'failure');
  scene.answer = kind === 'success' ? {} : { error: ['INTERNAL_ERROR'] };
};

/** All rows of a class are asked for many times over while one of them goes. */
const destroyMeanwhile = async (scene: Scene, object: string, method: string): Promise<void> => {
  const { objects } = scene;
  const ref = objects.object(object);
  const cls = objects.classOf(object).name;
  for (let i = 0; i < 300; i += 1) objects.object(`<${cls} ${i}>`, cls);
  await objects.make();
  const calls = Array.from({ length: 8 }, () => scene.tried(method));
  await scene.rows((tx) => tx.delete(cls as never, ref as never));
  const answers = await Promise.all(calls);
  scene.answer = answers.find((answer) => !(answer instanceof Map)) ?? answers[0];
  scene.kept.set('answers', answers);
};

const remove = async ({ objects, rows }: Scene, object: string): Promise<void> => {
  const ref = objects.object(object);
  await objects.make();
  await rows((tx) => tx.delete(objects.classOf(object).name as never, ref as never));
};

/** Another value than the field has. */
export const otherValue = (scene: Scene, object: string, field: string): unknown => {
  const { type } = scene.objects.classOf(object).fields[field] ?? skip(`${object} has no field ${field}`);
  const now = scene.objects.row(object)?.[field];
  if (type.kind === 'enum') return type.values?.find((one) => one !== now);
  return { string: 'other', int: 7, bool: now !== true, float: 0.5, map: { other: 'value' } }[
    type.kind as string
  ];
};

const put = async (scene: Scene, object: string, said: string, value: unknown): Promise<void> => {
  const { objects, rows } = scene;
  const ref = objects.object(object);
  // What it was is what is looked at afterwards.
  for (const name of scene.kept.keys()) scene.kept.set(name, objects.row(name));
  const [field, type] = objects.field(object, said);
  const what = objects.value(type, value);
  await objects.make();
  await rows((tx) =>
    tx.patch(objects.classOf(object).name as never, ref as never, { [field]: what } as never),
  );
};

const valueIn = (text: string): unknown => {
  if (/^\[.*\]$/.test(text))
    return text
      .slice(1, -1)
      .split(/, */)
      .filter((one) => one !== '');
  return /^-?\d+$/.test(text) ? Number(text) : text;
};

/** Whoever a case of the collector is about is whole, but for what the case says. */
const whole = (scene: Scene): void => {
  const { given, when, then } = scene.one;
  if (!/GC pass/.test(String(when['do']))) return;
  const [about = skip('it does not say what is collected'), ...more] = new Set(
    Object.keys(given).map((key) => key.split('.')[0] ?? ''),
  );
  if (more.length > 0) skip(`it is about several rows, ${[about, ...more].join(' and ')}`);
  scene.objects.complete(about, (field) => `${about}.${field}` in given);
  for (const key of Object.keys(then)) {
    const [, other] = /^(\w+) exists$/.exec(key) ?? [];
    if (other !== undefined && scene.objects.known(other) === undefined) scene.objects.own(about, other);
  }
};

const object = '(<.+?>|\\w+:\\d+)';
const form = (text: string): RegExp => new RegExp(text.replaceAll('OBJECT', object));

const given: readonly Phrase<void>[] = [
  [
    /^(\w+)s: \[/,
    async (scene, [word = ''], labels) => {
      const cls = scene.objects.classNamed(word) ?? skip(`there is no class ${word}`);
      if (cls.name !== 'task') {
        for (const label of labels) {
          scene.objects.object(`<${label}>`, cls.name);
          scene.objects.set(`<${label}>`, 'name_label', label);
        }
        return;
      }
      for (const label of labels) await call(scene, 'task.create', { label, description: '' });
    },
  ],
  [/^server option /, () => skip('there is no mode in which a pair may be added twice')],
  ...common.given,
];

const when: readonly Phrase<void>[] = [
  [/^(?:\w+ )*GC pass$/, async (scene) => void (await collect(scene))],
  [
    form('^destroy OBJECT while (\\w+\\.get_all_records) runs$'),
    (scene, [name = '', method = '']) => destroyMeanwhile(scene, name, method),
  ],
  [
    form('^create (\\w+) OBJECT with (\\w+)=(.+)$'),
    async ({ objects }, [cls, name = '', field = '', value = '']) => {
      objects.object(name, cls);
      objects.set(name, field, valueIn(value));
      await objects.make();
    },
  ],
  [/^create$/, ({ objects }) => objects.make()],
  [form('^(?:delete the row of|destroy|delete) OBJECT$'), (scene, [name = '']) => remove(scene, name)],
  [
    form('^set OBJECT\\.(\\w+) to (.+)$'),
    (scene, [name = '', field = '', value = '']) => put(scene, name, field, valueIn(value)),
  ],
  [
    form('^set OBJECT\\.(\\w+)$'),
    (scene, [name = '', field = '']) => put(scene, name, field, otherValue(scene, name, field)),
  ],
  [
    /^(\w+)\.get_all \/ \1\.get_all_records$/i,
    async (scene, [word = '']) => {
      const cls = scene.objects.classNamed(word)?.name;
      const refs = await scene.tried(`${cls}.get_all`);
      const records = (await scene.tried(`${cls}.get_all_records`)) as ReadonlyMap<string, any>;
      scene.answer = records;
      scene.kept.set('agree', [[...(refs as string[])].sort(), [...records.keys()].sort()]);
    },
  ],
  [
    /^(\w+\.\w+)$/,
    (scene, [method = '']) => {
      const bytes = scene.one.when['value bytes'];
      return bytes === undefined ? call(scene, method) : rawCall(scene, method, Buffer.from(bytes, 'hex'));
    },
  ],
];

const expects: readonly Phrase<Pair | undefined>[] = [
  [
    /^error code: INTERNAL_ERROR$/,
    (scene, _, code) => {
      // Bytes that are no text are refused up front under a better name; what matters is that nothing is stored.
      const refused = scene.kept.get('refused');
      return refused === undefined ? [errorOf(scene)?.[0], code] : [refused, true];
    },
  ],
  [
    /^(\w+)s \(as a set\): /,
    (scene, [field = ''], labels) => {
      const [refs, keys] = scene.kept.get('agree');
      const found = [...(scene.answer as ReadonlyMap<string, any>).values()].map((one) => one.get(field));
      return [
        [found.toSorted(), refs],
        [[...labels].sort(), keys],
      ];
    },
  ],
  [
    /^result may include: (<.+>)$/,
    (scene, [name = '']) => {
      const ref = scene.objects.object(name);
      const rest = scene.objects.of(scene.objects.classOf(name).name).filter((one) => one !== name);
      const listed = scene.kept
        .get('answers')
        .map((one: any) => [...one.keys()].filter((key) => key !== ref).sort());
      return [listed, listed.map(() => rest.toSorted())];
    },
  ],
  [
    /^(<.+>) row: unmodified$/,
    (scene, [name = '']) => [scene.objects.row(name) === scene.kept.get(name), true],
  ],
  [
    /^until: the next GC pass, which deletes the (\w+)$/,
    async (scene, [cls = '']) => {
      const before = scene.objects.row(cls) !== undefined;
      await collect(scene);
      return [
        [before, scene.objects.row(cls) !== undefined],
        [true, false],
      ];
    },
  ],
  ...common.expects,
];

const prepare = (scene: Scene): void => {
  whole(scene);
  // Whoever is to be left alone is looked at before.
  for (const key of Object.keys(scene.one.then)) {
    const [, name] = /^(<.+>) row$/.exec(key) ?? [];
    if (name !== undefined) scene.kept.set(name, undefined);
  }
};

export const databaseSemantics: Adapter = told({ given, when, expects, prepare });
