import { constructorFields } from '../../../src/model/derive.ts';
import type { Type } from '../../../src/model/types.ts';
import type { ServedOptions } from '../../edge/served.ts';
import type { Case } from '../cases.ts';
import { type Adapter, against, skip } from '../subject.ts';
import { type Live, live } from './live.ts';
import { type Rows, rowsOf } from './rows.ts';

// Cases told in prose are read, not known: each key of `given`, each step of `when` and each key of `then` is a
// sentence, and the first phrase of the vocabulary that fits says what it means. A case with a sentence that no
// phrase fits is skipped, and says which one.

/** What a case has come to so far. */
export interface Scene extends Live {
  readonly one: Case;
  readonly objects: Rows;
  /** The result of the call that the case is about, or `{ error }`. */
  answer?: unknown;
  /** The session that calls are made with. */
  session: string;
  /** What phrases of one subject keep for one another. */
  readonly kept: Map<string, any>;
}

/** Found and expected, in that order; nothing: a sentence that only explains. */
export type Pair = readonly [found: unknown, expected: unknown];

export type Phrase<T> = readonly [
  form: RegExp,
  does: (scene: Scene, words: readonly string[], value: any) => T | Promise<T>,
];

export interface Vocabulary {
  /** Of the keys of `given`, with what stands there: in one text, as `VM.uuid: text`. */
  readonly given: readonly Phrase<void>[];
  /** Of what is done or called: a text. */
  readonly when: readonly Phrase<void>[];
  /** Before what is given is made. */
  readonly prepare?: (scene: Scene) => void | Promise<void>;
  /** Of the keys of `then`, with what stands there. */
  readonly expects: readonly Phrase<Pair | undefined>[];
  readonly options?: () => ServedOptions;
}

const phraseFor = <T>(phrases: readonly Phrase<T>[], sentence: string, part: string) => {
  for (const [form, does] of phrases) {
    const words = form.exec(sentence);
    if (words !== null) return { does, words: words.slice(1).map((word) => word ?? '') };
  }
  return skip(`nothing here understands what is ${part}: ${sentence}`);
};

const sentenceOf = (key: string, value: unknown): string =>
  `${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`;

/** What is done, in order, and the call last. */
const stepsOf = ({ when }: Case): readonly string[] =>
  [when['do'] ?? [], when['call'] ?? []].flat().map(String);

/** A case by what it says; its name is never looked at. */
export const told = (vocabulary: Vocabulary): Adapter => {
  const { given, when, expects, options } = vocabulary;
  return (one) => {
    // Before a host is started for it.
    const facts = Object.entries(one.given).map(([key, value]) => ({
      ...phraseFor(given, sentenceOf(key, value), 'given'),
      value,
    }));
    const steps = stepsOf(one).map((step) => phraseFor(when, step, 'done'));
    const outcomes = Object.entries(one.then).map(([key, value]) => ({
      ...phraseFor(expects, sentenceOf(key, value), 'expected'),
      value,
    }));
    return live(async (here) => {
      const scene: Scene = { ...here, one, session: here.root, objects: rowsOf(here), kept: new Map() };
      for (const { does, words, value } of facts) await does(scene, words, value);
      await vocabulary.prepare?.(scene);
      await scene.objects.make();
      for (const { does, words } of steps) await does(scene, words, undefined);
      const pairs: (Pair | undefined)[] = [];
      for (const { does, words, value } of outcomes) pairs.push(await does(scene, words, value));
      const compared = pairs.filter((pair) => pair !== undefined);
      if (compared.length === 0) skip('it says nothing that can be compared');
      return against(
        compared.map(([found]) => found),
        compared.map(([, expected]) => expected),
      );
    }, options?.())(one);
  };
};

/** What is expected, with each `<word>` bound to its object, or to the text found there if it has none. */
export const bound = (scene: Scene, expected: unknown, found: unknown): unknown => {
  if (Array.isArray(expected)) {
    return expected.map((one, i) => bound(scene, one, Array.isArray(found) ? found[i] : undefined));
  }
  if (typeof expected !== 'string' || !/^<.+>$/.test(expected)) return expected;
  const known = scene.objects.known(expected);
  return known ?? (typeof found === 'string' && found !== '' ? found : expected);
};

/** Members of a set have no order. */
export const sorted = (value: unknown): unknown =>
  Array.isArray(value) ? [...value].map(String).toSorted() : value;

/** Of records, whose they are. */
const listed = (answer: unknown): unknown => (answer instanceof Map ? [...answer.keys()] : answer);

export const errorOf = (scene: Scene): readonly string[] | undefined =>
  (scene.answer as { readonly error?: readonly string[] } | undefined)?.error;

const methodForm = /^(?:Async\.)?(\w+)\.(\w+)$/;

export const messageOf = (scene: Scene, method: string) => {
  const { catalog } = scene.host.world;
  const [, word = '', name = ''] = methodForm.exec(method) ?? [];
  const cls = scene.objects.classNamed(word);
  const message = cls === undefined ? undefined : catalog.find(`${cls.name}.${name}`);
  return message ?? skip(`there is no message ${method}`);
};

/** What is said of a call beside its arguments. */
const aside = ['call', 'do', 'session'];

/** Arguments by their names, or in order where a case calls them otherwise; what is left out is the usual. */
export const argumentsOf = (scene: Scene, method: string, said: object): readonly any[] => {
  const { objects } = scene;
  const message = messageOf(scene, method);
  const left = new Map(Object.entries(said).filter(([key]) => !aside.includes(key)));
  const value = (type: Type<unknown>, key: string | undefined): unknown => {
    if (key === undefined) return type.kind === 'ref' ? objects.object(type.of ?? '') : type.empty;
    const one = left.get(key);
    left.delete(key);
    return objects.value(type, one, 'wire');
  };
  if (message.kind === 'constructor') {
    const fields = constructorFields(message.cls);
    return [
      new Map(fields.map(([name, { type }]) => [name, value(type, left.has(name) ? name : undefined)])),
    ];
  }
  const names = new Set(message.params.map(({ name }) => name));
  return message.params.map(({ name, type }, i) => {
    if (left.has(name)) return value(type, name);
    const other = message.hasSelf && i === 0 ? undefined : [...left.keys()].find((key) => !names.has(key));
    return value(type, other);
  });
};

/** Calls a message with what the case says of it, and keeps what it answers. */
export const call = async (scene: Scene, method: string, said: object = scene.one.when): Promise<void> => {
  const message = messageOf(scene, method);
  await scene.objects.make();
  const args = argumentsOf(scene, method, said);
  await scene.objects.make();
  const wire = method.startsWith('Async.') ? `Async.${message.method}` : message.method;
  const isOpen = message.declared?.sessionless === true;
  const reply = await scene.host.json(wire, ...(isOpen ? [] : [scene.session]), ...args);
  scene.answer = 'error' in reply ? reply : reply.value;
  if ('value' in reply && /\.create$/.test(method))
    scene.objects.adopt(message.cls.name, reply.value as string);
};

/** What every subject says in the same words. */
export const common = {
  given: [
    [
      /^([\w:]+|<.+?>)\.(\w+): /,
      (scene, [object = '', field = ''], value) => scene.objects.set(object, field, value),
    ],
    [
      /^(<.+>): (?:an? (\w+)|exists\b.*)$/,
      (scene, [object = '', cls]) => void scene.objects.object(object, cls),
    ],
  ] satisfies Phrase<void>[],
  when: [
    [/^((?:Async\.)?\w+\.\w+)$/, (scene, [method = '']) => call(scene, method)],
  ] satisfies Phrase<void>[],
  expects: [
    [/^(because|until): (?!.*GC pass)/, () => undefined],
    [/^error: /, (scene, _, value) => [errorOf(scene), bound(scene, value, errorOf(scene))]],
    [/^error code: (.*)$/, (scene, [code]) => [errorOf(scene)?.[0], code]],
    [/^first parameter: (.*)$/, (scene, [param]) => [errorOf(scene)?.[1], param]],
    [/^(?:ok|no error): true$/, (scene) => [errorOf(scene), undefined]],
    [
      /^result: \[/,
      (scene, _, value) => [sorted(listed(scene.answer)), sorted(bound(scene, value, scene.answer))],
    ],
    [
      /^([\w:]+|<.+?>)\.(\w+)(?: \(as a set\))?: /,
      (scene, [object = '', field = ''], value) => scene.objects.compare(object, field, value),
    ],
    [
      /^(<.+>|\w+) exists: (?:true|false)$/,
      (scene, [object = ''], value) => [scene.objects.row(object) !== undefined, value],
    ],
  ] satisfies Phrase<Pair | undefined>[],
};
