import { skip } from '../subject.ts';
import { otherValue } from './database.ts';
import { classesOf } from './heard.ts';
import type { Scene } from './prose.ts';

// What a case of events has done to objects, told in words.

export interface Act {
  readonly verb: 'create' | 'destroy' | 'change' | 'call';
  readonly cls?: string;
  /** `<x>`. */
  readonly name: string;
  /** Of what is created: whom it belongs to. */
  readonly owner?: string;
  readonly field?: string;
  /** As told; nothing: another one than before. */
  readonly value?: string;
  readonly method?: string;
}

export interface Change {
  readonly op: 'add' | 'mod' | 'del';
  readonly cls: string;
  readonly ref: string;
}

const verbs: Readonly<Record<string, Act['verb']>> = {
  create: 'create',
  destroy: 'destroy',
  delete: 'destroy',
  modify: 'change',
  change: 'change',
  update: 'change',
};

/** `message 3` is `<message 3>`. */
export const named = (cls: string, which: string): string =>
  /^<.+>$/.test(which) ? which : `<${[cls.toLowerCase(), which].filter((one) => one !== '').join(' ')}>`;

type Words = readonly string[];

const some = (word: string | undefined): string | undefined => (word === '' ? undefined : word);

/** Of whom a case tells that does not say whose field it sets. */
const usual = ({ one }: Scene): string =>
  Object.keys(one.then)
    .map((key) => /^events for (<.+>)$/.exec(key)?.[1])
    .find((name) => name !== undefined) ?? '<x>';

type Form = readonly [form: RegExp, read: (words: Words, scene: Scene) => Act];

export const forms: readonly Form[] = [
  [
    /^(create|destroy|delete|modify|change|update) (?:(?:the|an?) )?(?:(\w+) )?(<[^>]+>)(?: (?:on|of|in|for) (<[^>]+>))?$/,
    ([verb = '', cls, name = '', owner]) => ({
      verb: verbs[verb] as Act['verb'],
      ...{ cls: some(cls) as string, name, owner: some(owner) as string },
    }),
  ],
  [
    /^(\w+)\.(create|destroy)(?: (\d+|<[^>]+>))?(?: (?:on|of|in|for) (<[^>]+>))?$/,
    ([cls = '', verb = '', which = '', owner]) => ({
      verb: verbs[verb] as Act['verb'],
      ...{ cls, name: named(cls, which), owner: some(owner) as string },
    }),
  ],
  [
    /^set (\w+) of (<[^>]+>)(?: to (.+))?$/,
    ([field, name = '', value]) => ({
      verb: 'change',
      name,
      field: field as string,
      value: some(value) as string,
    }),
  ],
  [
    /^set (?:(<[^>]+>)\.)?(\w+)(?:(?: to | = ?|=| )(.+))?$/,
    ([name, field, value], scene) => ({
      verb: 'change',
      ...{ name: some(name) ?? usual(scene), field: field as string, value: some(value) as string },
    }),
  ],
  [
    /^(\w+)\.set_(\w+) (?:(<[^>]+>) )?(.+)$/,
    ([cls = '', field, name, value]) => ({
      verb: 'change',
      ...{ cls, name: some(name) ?? named(cls, ''), field: field as string, value: value as string },
    }),
  ],
  [
    /^(\w+)\.((?:add_to|remove_from|add|remove)_\w+) (?:(?:of |to )?(<[^>]+>) )?(.+)$/,
    ([cls = '', method, name, value]) => ({
      verb: 'call',
      ...{ cls, name: some(name) ?? named(cls, ''), method: `${cls}.${method}`, value: value as string },
    }),
  ],
];

/** What is done in a step; nothing: it is something else. */
export const actOf = (scene: Scene, step: string): Act | undefined => {
  for (const [form, read] of forms) {
    const words = form.exec(step);
    if (words !== null)
      return read(
        words.slice(1).map((word) => word ?? ''),
        scene,
      );
  }
  return undefined;
};

/** Has the scene know an object; a name that is no class is one of the class that is watched. */
export const declare = (scene: Scene, name: string, cls?: string, owner?: string): void => {
  const { objects } = scene;
  const word = name.replace(/^<|>$/g, '').replace(/[ \d]+$/, '');
  const watched = () => classesOf(scene.one).find((one) => objects.classNamed(one) !== undefined);
  objects.object(name, cls ?? (objects.classNamed(word) === undefined ? watched() : word));
  if (owner === undefined) return;
  declare(scene, owner);
  const to = objects.classOf(owner).name;
  const field = Object.entries(objects.classOf(name).fields).find(
    ([, { type, computed }]) => type.of === to && computed !== true,
  );
  objects.set(name, field?.[0] ?? skip(`${name} has no field for ${owner}`), owner);
};

const isMessage = (scene: Scene, cls: string | undefined): boolean =>
  scene.objects.classNamed(cls ?? '')?.name === 'message';

/** Notices are left by calls, as they are not rows like others; everything else is committed. */
export const create = async (scene: Scene, { cls, name, owner }: Omit<Act, 'verb'>): Promise<void> => {
  if (!isMessage(scene, cls)) return declare(scene, name, cls, owner);
  const { host, root } = scene;
  const pool = await host.call('pool.get_uuid', root, host.world.pool);
  scene.objects.bind(name, await host.call('message.create', root, name, 3n, 'Pool', pool, 'text'));
};

const typed = (kind: string, told: string): unknown => {
  const text = told.replace(/^"(.*)"$/, '$1');
  if (kind === 'string' || kind === 'enum' || kind === 'ref') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
};

const change = async (scene: Scene, { name, field, value }: Act): Promise<void> => {
  const { objects, rows } = scene;
  const { name: cls, fields } = objects.classOf(name);
  const free = () =>
    ['name_label', 'other_config', ...Object.keys(fields)].find(
      (one) => fields[one]?.computed !== true && ['string', 'map'].includes(String(fields[one]?.type.kind)),
    );
  const [column, type] = objects.field(name, field ?? free() ?? skip(`nothing of ${name} can be changed`));
  const what = value === undefined ? otherValue(scene, name, column) : typed(String(type.kind), value);
  const ref = objects.object(name);
  const patch = { [column]: objects.value(type, what) };
  await objects.make();
  await rows((tx) => tx.patch(cls as never, ref as never, patch as never));
};

const callOn = async (scene: Scene, { name, method = '', value = '' }: Act): Promise<void> => {
  const [key = '', ...rest] = value.split('=');
  const args = rest.length > 0 ? [key, rest.join('=')] : [key];
  const reply: any = await scene.tried(method, scene.objects.object(name), ...args);
  if (reply?.error !== undefined) throw new Error(`${method} failed: ${reply.error.join(' ')}`);
};

const destroy = async (scene: Scene, { cls, name }: Act): Promise<void> => {
  const { objects, rows, host, root } = scene;
  const ref = objects.known(name) ?? skip(`there is no ${name}`);
  if (isMessage(scene, cls ?? name.replace(/^<(\w+).*$/, '$1')))
    return host.call('message.destroy', root, ref);
  await rows((tx) => tx.delete(objects.classOf(name).name as never, ref as never));
};

const ops = { create: 'add', destroy: 'del', change: 'mod', call: 'mod' } as const;

export const perform = async (scene: Scene, act: Act): Promise<Change> => {
  const { objects } = scene;
  if (act.verb === 'create') await create(scene, act);
  else if (!isMessage(scene, act.cls) && objects.known(act.name) === undefined)
    declare(scene, act.name, act.cls);
  await objects.make();
  await { create: async () => {}, destroy, change, call: callOn }[act.verb](scene, act);
  const ref = objects.known(act.name) as string;
  const cls = isMessage(scene, act.cls) ? 'message' : String(objects.classOf(act.name).name).toLowerCase();
  return { op: ops[act.verb], cls, ref };
};
