// Goal: a message that is given the object that it is for once more, or what that object has already, works or says
// why not: it never waits for itself, breaks, or leaves an object that names itself or is gone.
// Method: every message that takes references, by its declaration, in a simulated pool: of the class of the object
// itself, the object; of others, what its row names; in sets each of them twice.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import type { AnyClass, ClassName } from '../../../src/model/class.ts';
import type { WireMessage, WireParam } from '../../../src/model/derive.ts';
import { nullRef, type Ref, type Type } from '../../../src/model/types.ts';
import { hostCaller } from '../../../src/objects/invoke.ts';
import { type Sandbox, sandboxOf } from '../../../src/simulation/sandbox/sandbox.ts';
import { Fault } from '../../../src/std/fault.ts';
import { silentLog } from '../../../src/std/log.ts';

const opened = (): Promise<Sandbox> =>
  sandboxOf({
    ...{ size: { hosts: 2, vms: 6, srs: 1 }, seed: 'oneself', name: 'test', latencyMs: [0, 0], silentMs: 10 },
    ...{ clock: nodeClock, log: silentLog, address: '127.0.0.1', authority: () => '127.0.0.1', version: '1' },
    credentials: { verify: async () => true, setPassword: async () => {} },
  });

let pool: Sandbox;
let isFresh = false;
const fresh = async (): Promise<void> => {
  if (isFresh) return;
  await pool?.close();
  pool = await opened();
  await furnish();
  isFresh = true;
};

const call = (method: string, ...args: readonly unknown[]): Promise<any> => {
  const message = pool.catalog.find(method);
  if (message === undefined) throw new Error(`Nothing answers ${method}`);
  const filled = message.params.map(({ defaultValue }, i) => (i < args.length ? args[i] : defaultValue));
  return pool.coordinator.invoker.invoke({
    message,
    args: filled,
    caller: hostCaller,
    watched: 'while-running',
  });
};

/** What a small pool lacks: a guest that runs, a snapshot, and of other classes something. */
const furnish = async (): Promise<void> => {
  const [running, halted] = guests();
  await call('VM.start', running, false, false);
  await call('VM.snapshot', halted, 'snapshot', []);
  await pool.store.commit((tx) => {
    for (const { name, inDatabase } of pool.catalog.classes) {
      if (inDatabase === false || [...pool.store.latest.all(name as ClassName)].length > 0) continue;
      tx.create(name as ClassName, `OpaqueRef:one-${name}` as Ref<any>, { uuid: `one-${name}` } as never);
    }
  });
};

const guests = (): readonly string[] =>
  [...pool.store.committed.all('VM')]
    .filter(([, vm]) => !vm.is_a_template && !vm.is_control_domain && !vm.is_a_snapshot)
    .map(([ref]) => ref);

/** The classes that a value of this type names. */
const named = (type: Type<any> | undefined): readonly string[] => {
  if (type === undefined || type.kind === 'record') return [];
  if (type.kind === 'ref') return [type.of ?? ''];
  return [...named(type.key), ...named(type.item)];
};

/** What a row names of a class, itself first. */
const own = (cls: AnyClass, self: string, wanted: string): readonly string[] => {
  if (wanted === cls.name) return [self];
  const row = pool.store.committed.get(cls.name as ClassName, self as Ref<any>) as
    | Record<string, unknown>
    | undefined;
  const found = Object.entries(cls.fields)
    .filter(([, { type }]) => named(type).includes(wanted))
    .flatMap(([field]) => [row?.[field] ?? []].flat() as string[])
    .filter((ref) => typeof ref === 'string' && ref !== nullRef);
  return found.length > 0 ? found : [...pool.store.committed.all(wanted as ClassName)].map(([ref]) => ref);
};

const argumentOf = (cls: AnyClass, self: string, { type, name }: WireParam): unknown => {
  const of = (wanted: Type<any>): unknown =>
    wanted.kind === 'ref' ? (own(cls, self, wanted.of ?? '')[0] ?? nullRef) : plain(wanted);
  if (type.kind === 'set' && type.item?.kind === 'ref') return [of(type.item), of(type.item)];
  if (type.kind === 'map' && named(type).length > 0)
    return new Map([[of(type.key as Type<any>), of(type.item as Type<any>)]]);
  return name === 'self' ? self : of(type);
};

const plain = (type: Type<any>): unknown => {
  if (type.kind === 'string') return 'x';
  if (type.kind === 'int') return 1n;
  if (type.kind === 'enum') return type.values?.[0];
  return type.kind === 'datetime' ? '20240229T23:59:59Z' : type.empty;
};

const answered = (message: WireMessage, args: readonly unknown[]): Promise<string | undefined> => {
  const { promise, cancel } = deadline(message.method);
  const done = pool.coordinator.invoker.invoke({
    message,
    args,
    caller: hostCaller,
    watched: 'while-running',
  });
  return Promise.race([done.then(() => undefined), promise])
    .catch((error: unknown) => {
      if (error instanceof Fault) return [error.code, ...error.params].join(' ');
      throw error;
    })
    .finally(cancel);
};

/** Not for how fast it is: what waits for itself would wait for ever. */
const deadline = (what: string): { promise: Promise<never>; cancel: () => void } => {
  let cancel = (): void => {};
  const promise = new Promise<never>((_, reject) => {
    cancel = nodeClock.after(20_000, () => reject(new Error(`${what} is never answered`)));
  });
  return { promise, cancel };
};

/** Rows that name themselves where that means nothing. */
const selfish = (): readonly string[] =>
  pool.catalog.classes.flatMap((cls) =>
    cls.inDatabase === false
      ? []
      : [...pool.store.committed.all(cls.name as ClassName)].flatMap(([ref, row]) =>
          Object.entries(cls.fields)
            .filter(([, { type }]) => named(type).includes(cls.name))
            .filter(([field]) => [(row as any)[field]].flat().includes(ref))
            .map(([field]) => `${cls.name}.${field}`),
        ),
  );

/** Objects of a class to try: of VMs, one in each state that matters. */
const candidates = (cls: string): readonly string[] => {
  const all = [...pool.store.committed.all(cls as ClassName)] as (readonly [string, any])[];
  if (cls !== 'VM') return all.slice(0, 2).map(([ref]) => ref);
  const of = (wanted: (vm: any) => boolean): readonly string[] =>
    all
      .filter(([, vm]) => wanted(vm))
      .slice(0, 1)
      .map(([ref]) => ref);
  const isGuest = (vm: any): boolean => !vm.is_a_template && !vm.is_control_domain && !vm.is_a_snapshot;
  return [
    ...of((vm) => isGuest(vm) && vm.power_state === 'Running'),
    ...of((vm) => isGuest(vm) && vm.power_state === 'Halted'),
    ...of((vm) => vm.is_a_template && !vm.is_a_snapshot),
    ...of((vm) => vm.is_a_snapshot),
  ];
};

beforeAll(fresh);
afterAll(() => pool.close());

/** Setters, and all that there is a handler for, but what one host asks of another. */
const referring = (): readonly WireMessage[] =>
  pool.catalog.messages.filter((message) => {
    const { params, hasSelf, declared, kind } = message;
    const others = params.slice(hasSelf ? 1 : 0);
    if (declared?.poolInternal === true || !others.some(({ type }) => named(type).length > 0)) return false;
    return ['setter', 'adder', 'remover'].includes(kind) || pool.catalog.handler(message) !== undefined;
  });

test('Whatever is asked about an object and itself is answered, and leaves all in order', async () => {
  const wrong: string[] = [];
  const messages = referring();
  expect(messages.length).toBeGreaterThan(40);
  for (const message of messages) {
    const { method, params, hasSelf, cls } = message;
    const count = hasSelf ? candidates(cls.name).length : 1;
    for (let which = 0; which < count; which += 1) {
      await fresh();
      isFresh = false;
      const self = candidates(cls.name)[which] ?? '';
      const args = params.map((param, at) => (at === 0 && hasSelf ? self : argumentOf(cls, self, param)));
      const answer = await answered(message, args);
      const note = (what: string): void => void wrong.push(`${method} (${which}) ${what}`);
      if (answer?.startsWith('INTERNAL_ERROR') === true) note(answer);
      if (hasSelf && pool.store.committed.get(cls.name as ClassName, self as Ref<any>) === undefined)
        note('gone');
      for (const field of selfish()) note(`names itself in ${field}`);
    }
  }
  expect(wrong).toEqual([]);
}, 600_000);
