import { nullRef, type Ref } from '../../model/types.ts';
import type { SeededRandom } from '../random.ts';
import { anyReady, ask, isOpen, succeeded, weighted } from './asking.ts';
import type { Load } from './options.ts';
import type { PastVm } from './past.ts';
import type { World, WorldHost } from './world.ts';

/** What clients were told, to be held against what is there in the end. */
export interface Answered {
  /** By `<VM>/<key>`: what `other_config` must say, for all that is known. */
  readonly keys: Map<string, Expected>;
  /** Tasks that calls were answered with. */
  readonly tasks: Set<Ref<'task'>>;
  /** Calls that were answered with success, and all of them. */
  acknowledged: number;
  asked: number;
  /** Clients that have not come to their end. */
  active: number;
  stopped: boolean;
  /** Keys that a client was shown, as `<VM>/<key>`. */
  readonly shown: Set<string>;
  /** The first thing that a client saw and must not see. */
  seen: string | undefined;
}

/** `open`: a call about it was not answered, so that both may be. */
export interface Expected {
  readonly vm: Ref<'VM'>;
  readonly key: string;
  readonly present: boolean;
  readonly open: boolean;
  /** Somebody has asked for it to be removed. */
  readonly removing?: true;
}

export const newAnswered = (): Answered => ({
  ...{ keys: new Map(), tasks: new Set(), shown: new Set(), acknowledged: 0, asked: 0 },
  ...{ active: 0, stopped: false, seen: undefined },
});

/** Clients that call through any host, one call after another each. */
export const startLoad = (world: World, told: Answered): void => {
  for (let index = 0; index < world.options.clients; index += 1) {
    told.active += 1;
    const client = clientOf(world, told, index);
    void client().finally(() => {
      told.active -= 1;
    });
  }
};

interface Client {
  readonly world: World;
  readonly told: Answered;
  readonly random: SeededRandom;
  readonly name: string;
  /** Keys that this client made, and nobody else touches. */
  readonly own: Expected[];
  calls: number;
}

const clientOf = (world: World, told: Answered, index: number) => {
  const random = world.random.split(`client ${index}`);
  const client: Client = { world, told, random, name: `c${index}`, own: [], calls: 0 };
  return async (): Promise<void> => {
    while (!told.stopped) {
      await pause(client);
      if (told.stopped) return;
      const host = anyReady(world, random);
      if (host !== undefined) await loads[pickLoad(client)](client, host);
    }
  };
};

const pause = ({ world, random }: Client): Promise<void> => {
  const [least, most] = world.options.thinkMs;
  return new Promise((resolve) => {
    world.clock.after(least + random.fraction() * (most - least), resolve);
  });
};

const pickLoad = ({ world, random }: Client): Load => weighted(random, world.options.loads);

const call = async (client: Client, host: WorldHost, method: string, ...args: readonly unknown[]) => {
  const { world, told, name } = client;
  const { process } = host;
  client.calls += 1;
  told.asked += 1;
  const id = `${name}.${client.calls}`;
  world.trace.note(
    world.clock.monotonicMs(),
    name,
    `asks ${host.name}`,
    id,
    method,
    args.map(String).join(' '),
  );
  const outcome = await ask(world, host, async () => process?.call(method, ...args));
  const text = outcome === 'unknown' ? outcome : 'fault' in outcome ? outcome.fault : 'done';
  world.trace.note(world.clock.monotonicMs(), name, 'heard', id, text);
  if (text === 'done') told.acknowledged += 1;
  return outcome;
};

const anyVm = ({ world, random }: Client): PastVm => random.pick(world.past.vms);

const expectFrom = (client: Client, expected: Expected): void => {
  client.told.keys.set(`${expected.vm}/${expected.key}`, expected);
};

/** What a client has done it sees at the host where it did it. */
const look = (client: Client, host: WorldHost, { vm, key, present }: Expected): void => {
  const config = host.process?.store?.committed.get('VM', vm)?.other_config;
  if (config === undefined || config.has(key) === present) return;
  client.told.seen ??= `${client.name} wrote ${key} at ${host.name} and does not read it there`;
};

const loads: Readonly<Record<Load, (client: Client, host: WorldHost) => Promise<unknown>>> = {
  append: async (client, host) => {
    const { ref: vm } = anyVm(client);
    const key = `${client.name}-${client.calls}`;
    const outcome = await call(client, host, 'VM.add_to_other_config', vm, key, 'x');
    if (succeeded(outcome)) {
      const expected = { vm, key, present: true, open: false };
      expectFrom(client, expected);
      client.own.push(expected);
      look(client, host, expected);
    } else if (isOpen(outcome)) expectFrom(client, { vm, key, present: true, open: true });
    else expectFrom(client, { vm, key, present: false, open: false });
  },
  remove: async (client, host) => {
    const expected = client.own.pop();
    if (expected === undefined) return;
    const { vm, key } = expected;
    expectFrom(client, { ...expected, removing: true });
    const outcome = await call(client, host, 'VM.remove_from_other_config', vm, key);
    if (succeeded(outcome)) {
      expectFrom(client, { ...expected, present: false, removing: true });
      look(client, host, { ...expected, present: false });
    } else if (isOpen(outcome)) expectFrom(client, { ...expected, open: true, removing: true });
  },
  read: async (client, host) => {
    const { ref: vm } = anyVm(client);
    const outcome = await call(client, host, 'VM.get_other_config', vm);
    if (outcome === 'unknown' || 'fault' in outcome) return;
    for (const key of outcome.result.keys()) client.told.shown.add(`${vm}/${key}`);
  },
  rename: (client, host) => call(client, host, 'VM.set_name_label', anyVm(client).ref, `by ${client.name}`),
  start: (client, host) => call(client, host, 'VM.start', anyVm(client).ref, false, false),
  shutdown: (client, host) => call(client, host, 'VM.hard_shutdown', anyVm(client).ref),
  migrate: (client, host) => {
    const to = client.random.pick(client.world.hosts.filter(({ belongs }) => belongs)).ref;
    return call(client, host, 'VM.pool_migrate', anyVm(client).ref, to, new Map([['live', 'true']]));
  },
  task: async (client, host) => {
    const { world, told, random } = client;
    const { process } = host;
    const vm = anyVm(client).ref;
    const method = random.pick(['VM.start', 'VM.hard_shutdown']);
    const args = method === 'VM.start' ? [vm, false, false] : [vm];
    const outcome = await ask(world, host, async () => process?.callAsync(method, ...args));
    if (outcome !== 'unknown' && 'result' in outcome) {
      told.tasks.add(outcome.result);
      world.trace.note(
        world.clock.monotonicMs(),
        client.name,
        `has ${method} done by ${host.name} as`,
        outcome.result,
      );
    }
  },
  /** Rows that come and go, and take deletions with them. */
  churn: async (client, host) => {
    const made = await call(client, host, 'network.create', networkFields(client));
    if (made === 'unknown' || 'fault' in made) return;
    const other = anyReady(client.world, client.random);
    if (other !== undefined) await call(client, other, 'network.destroy', made.result);
  },
};

const networkFields = ({ name, calls }: Client) =>
  new Map<string, unknown>([
    ...([
      ['name_label', `${name} ${calls}`],
      ['name_description', ''],
      ['MTU', 1500n],
    ] as const),
    ...([
      ['other_config', new Map()],
      ['bridge', ''],
      ['managed', true],
      ['tags', []],
    ] as const),
  ]);

export const nobody = nullRef;
