import { behaviours } from '../../../actors/behaviours.ts';
import { constructorFields, type WireMessage } from '../../../src/model/derive.ts';
import { epoch, type Ref, type Type } from '../../../src/model/types.ts';
import { handlerArgs } from '../../../src/objects/arguments.ts';
import type { Invocation, RoutedOptions } from '../../../src/objects/invocation.ts';
import { placeOf } from '../../../src/objects/route.ts';
import type { Value } from '../../../src/std/value.ts';
import { hostRef, type World, world } from '../../world.ts';
import { type Adapter, against, skip } from '../subject.ts';

// Where a call is carried out, asked of the router itself in a pool of three: a VM runs on the second host, the
// third has storage and cards of its own and is the one that calls name, and the first decides.

const [first, second, third] = [hostRef(0), hostRef(1), hostRef(2)];

/** Places as the cases name them, by the words that tell them apart. */
const places: readonly (readonly [RegExp, Ref<'host'>])[] = [
  [/^named host|placement|PBD|\bSRs?\b|storage/, third],
  [/VM home host|VM host|resident/, second],
  [/coordinator|locally|^local/, first],
];

const placeNamed = (words: string): Ref<'host'> =>
  places.find(([form]) => form.test(words))?.[1] ?? skip(`"${words}" names no place here`);

/** Names of classes as the cases spell them, where they differ. */
const spelled: Readonly<Record<string, string>> = {
  Host: 'host',
  Pool: 'pool',
  Task: 'task',
  Network: 'network',
};

/** What is carried out elsewhere here, and why. */
const different: Readonly<Record<string, string>> = {
  'pool.designate_new_master': 'the coordinator hands its part over, so it is the one that does it',
  'VM.provision': 'it makes disks by calls, each of which is carried out where the repository is',
  'pool.eject': 'the coordinator takes the host out of its log, and tells it to start anew',
};

const uuid = (ref: string) => ({ uuid: ref });

const pool = (): Promise<World> =>
  world({
    behaviours,
    hosts: 3,
    rows: (tx) => {
      const [running, halted, asleep] = ['running', 'halted', 'asleep'].map((one) => one as Ref<'VM'>);
      tx.create('SR', 'SR' as Ref<'SR'>, { ...uuid('SR'), shared: false });
      tx.create('PBD', 'PBD' as Ref<'PBD'>, {
        SR: 'SR' as Ref<'SR'>,
        host: third,
        currently_attached: true,
      });
      tx.create('VDI', 'VDI' as Ref<'VDI'>, { ...uuid('VDI'), SR: 'SR' as Ref<'SR'>, managed: true });
      tx.create('network', 'network' as Ref<'network'>, uuid('network'));
      tx.create('PIF', 'PIF' as Ref<'PIF'>, { ...uuid('PIF'), host: third });
      tx.create('task', 'task' as Ref<'task'>, { ...uuid('task'), status: 'pending', resident_on: third });
      const vm = { VCPUs_at_startup: 1n, VCPUs_max: 1n };
      tx.create('VM', running as Ref<'VM'>, {
        ...uuid('1'),
        ...vm,
        power_state: 'Running',
        resident_on: second,
      });
      tx.create('VM', halted as Ref<'VM'>, { ...uuid('2'), ...vm, power_state: 'Halted' });
      const suspend_VDI = 'VDI' as Ref<'VDI'>;
      tx.create('VM', asleep as Ref<'VM'>, { ...uuid('3'), ...vm, power_state: 'Suspended', suspend_VDI });
      tx.create('VBD', 'VBD' as Ref<'VBD'>, { ...uuid('VBD'), VM: running as Ref<'VM'> });
      tx.create('VBD', 'disk' as Ref<'VBD'>, { ...uuid('disk'), VM: halted as Ref<'VM'>, VDI: suspend_VDI });
      tx.create('VIF', 'VIF' as Ref<'VIF'>, { ...uuid('VIF'), VM: running as Ref<'VM'> });
    },
  });

const vmFor: Readonly<Record<string, string>> = {
  'VM.start': 'halted',
  'VM.start_on': 'halted',
  'VM.resume': 'asleep',
  'VM.resume_on': 'asleep',
  'VM.provision': 'halted',
};

const argumentOf = (type: Type<unknown>, method: string): Value => {
  if (type.kind === 'datetime') return { dateTime: epoch };
  if (type.kind !== 'ref') return type.empty as Value;
  if (type.of === 'host') return third;
  return type.of === 'VM' ? (vmFor[method] ?? 'running') : (type.of ?? '');
};

const argumentsOf = (message: WireMessage): readonly Value[] => {
  const { kind, cls, method, params } = message;
  if (kind !== 'constructor') return params.map(({ type }) => argumentOf(type, method));
  return [new Map(constructorFields(cls).map(([name, { type }]) => [name, argumentOf(type, method)]))];
};

const onWhich = async (at: World, message: WireMessage): Promise<Ref<'host'>> => {
  const { catalog, store, services } = at;
  const args = argumentsOf(message);
  const options = { catalog, store, services, places: at.places.of(first) } as unknown as RoutedOptions;
  const place = placeOf(options, { message, args } as unknown as Invocation);
  const handler = catalog.handler(message);
  if (handler === undefined || !('work' in handler) || handler.at === undefined) return place;
  const { choose } = handler.at;
  const self = args[0] as Ref;
  return store.commit((tx) => choose({ tx, self, services } as never, handlerArgs(message, args)));
};

/** "Runs on" of a case: one place, or several of which any will do. */
export const carryingOut: Adapter = async ({ when, then }) => {
  const [cls = '', name = ''] = String(when['call']).split('.');
  const method = `${spelled[cls] ?? cls}.${name}`;
  const reason = different[method];
  if (reason !== undefined) skip(`carried out elsewhere on purpose: ${reason}`);
  const at = await pool();
  try {
    const message = at.catalog.find(method) ?? skip('a helper of another implementation, not a message');
    const wanted = [then['runs on']].flat().map(placeNamed);
    const found = await onWhich(at, message);
    if (wanted.includes(found)) return against(found, found);
    if (message.removed) skip('the message is removed');
    if (at.catalog.handler(message) === undefined)
      skip('the message is not built, and its place cannot be told');
    return against(found, wanted);
  } finally {
    await at.close();
  }
};
