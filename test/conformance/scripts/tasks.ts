import { taskCollector } from '../../../actors/task/collect.ts';
import { roles } from '../../../src/model/class.ts';
import { dateTimeOf, epoch, type Ref } from '../../../src/model/types.ts';
import type { Caller } from '../../../src/objects/implement.ts';
import { hostCaller } from '../../../src/objects/invoke.ts';
import { createTask, failTask, succeedTask } from '../../../src/objects/tasks.ts';
import { Fault } from '../../../src/std/fault.ts';
import type { Tx } from '../../../src/store/view.ts';
import { type Adapter, skip } from '../subject.ts';
import { call, common, errorOf, messageOf, type Pair, type Phrase, type Scene, told } from './prose.ts';

const name = '<task>';
const minuteMs = 60_000;

/** Who started the task; the host itself, where a case says nothing of it. */
const ownerOf = (scene: Scene): Caller => scene.kept.get('owner') ?? hostCaller;

const create = (scene: Scene, tx: Tx, ref: string, fields: Record<string, unknown>): void => {
  const about = {
    label: 'task',
    cancellable: true,
    watched: 'until-destroyed',
    caller: ownerOf(scene),
  } as const;
  createTask(tx, ref as Ref<'task'>, scene.host.world.services, about);
  tx.patch('task', ref as Ref<'task'>, fields as never);
};

const rowOf = ({ objects, host }: Scene) =>
  host.world.store.committed.get('task', objects.object(name, 'task') as Ref<'task'>);

const pass = async (scene: Scene): Promise<void> => {
  const { host, rows, kept } = scene;
  const collect: ReturnType<typeof taskCollector> = kept.get('collector') ?? taskCollector();
  kept.set('collector', collect);
  await rows((tx) => void collect(tx, host.world.services.clock.now()));
};

/** The task that a case is about, others beside it, and a pass before, where a case tells of a previous one. */
const prepare = async (scene: Scene): Promise<void> => {
  const { given, when } = scene.one;
  const told = Object.keys(given).some((key) => /^tasks?\b/.test(key)) || scene.kept.has('owner');
  const acts = /GC pass|the operation|task\.(?!create)/.test(String(when['do'] ?? when['call']));
  if (scene.kept.has('busy') || !(told || acts)) return;
  const { clock } = scene.host.world.services;
  const fields: Record<string, unknown> = scene.kept.get('fields') ?? {};
  const ended = !['pending', 'cancelling', undefined].includes(fields['status'] as string);
  const usual = ended ? { finished: dateTimeOf(clock.now()), progress: 1, allowed_operations: [] } : {};
  scene.objects.adopt('task', name);
  await scene.rows((tx) => {
    create(scene, tx, name, { ...usual, ...fields });
    const others = { ...usual, status: 'success', progress: 1, finished: dateTimeOf(clock.now() - minuteMs) };
    for (let i = 1; i < (scene.kept.get('total') ?? 1); i += 1) create(scene, tx, `<task ${i}>`, others);
  });
  if (scene.kept.has('progress') || /second GC pass/.test(String(when['do']))) await pass(scene);
  if (scene.kept.get('progress') === 'grew') {
    await scene.rows((tx) => tx.patch('task', name as Ref<'task'>, { progress: 0.5 }));
  }
};

const field = (scene: Scene, key: string, value: unknown): void => {
  const [column, type] = scene.objects.field('task', key);
  const fields = scene.kept.get('fields') ?? {};
  scene.kept.set('fields', { ...fields, [column]: scene.objects.value(type, value) });
};

/** A session beside the one that started the task. */
const sessions = async (scene: Scene, text: string): Promise<void> => {
  const { host, rows, kept } = scene;
  const role = [...roles].reverse().find((one) => text.includes(one)) ?? 'read-only';
  const owner = await host.sessionWithRole('read-only');
  await rows((tx) => tx.patch('session', owner, { auth_user_sid: 'sid' }));
  kept.set('owner', { session: owner, user: 'someone', role: 'read-only', originator: '' } satisfies Caller);
  if (/super|root/.test(text)) return;
  const other = await host.sessionWithRole(role);
  const isSame = /same/.test(text);
  await rows((tx) => tx.patch('session', other, { auth_user_sid: isSame ? 'sid' : 'another sid' }));
  scene.session = other;
};

/** Something goes on with an object, so that a call which is said to wait has something to wait for. */
const busy = async (scene: Scene, method: string): Promise<void> => {
  const { cls, name: message } = messageOf(scene, method);
  const about = scene.kept.get('busy') as string;
  if (scene.objects.classOf(about).name !== cls.name) skip(`${method} is of another class than ${about}`);
  const [, type] = scene.objects.field(about, 'current_operations');
  const operations = type.item?.values ?? [];
  const going = ['suspend', ...operations].find((one) => operations.includes(one) && one !== message);
  const states: Readonly<Record<string, string>> = {
    start: 'Halted',
    resume: 'Suspended',
    unpause: 'Paused',
  };
  if (cls.name === 'VM') {
    scene.objects.set(about, 'power_state', states[message.replace(/_on$/, '')] ?? 'Running');
  }
  scene.objects.set(about, 'current_operations', { other: going });
};

const waits = async (scene: Scene, method: string): Promise<void> => {
  await busy(scene, method);
  await call(scene, method);
  const ref = scene.answer as Ref<'task'>;
  scene.objects.adopt('task', ref);
  scene.kept.set('waiting', scene.host.world.store.committed.require('task', ref).allowed_operations);
};

const given: readonly Phrase<void>[] = [
  [
    /^task: (pending|cancelling|success|failure|cancelled)$/,
    (scene, [status]) => field(scene, 'status', status),
  ],
  [/^task\.progress: (unchanged|grew)\b/, (scene, [how]) => void scene.kept.set('progress', how)],
  [/^task\.(\w+): /, (scene, [key = ''], value) => field(scene, key, value)],
  [
    /^tasks in total: (at most |over |more than )?(\d+)/,
    (scene, [how = '', count]) =>
      void scene.kept.set('total', Number(count) + (/over|more/.test(how) ? 1 : 0)),
  ],
  [/^session: (.*)$/, (scene, [text = '']) => sessions(scene, text)],
  [/^(\w+): another operation in progress$/, (scene, [about]) => void scene.kept.set('busy', about)],
];

const when: readonly Phrase<void>[] = [
  [/^(?:\w+ )*GC pass$/, pass],
  [
    /^the operation (?:then )?raises (\w+)(?: with (.*))?$/,
    ({ rows, host }, [code, params = '']) => {
      const listed = params === 'params' ? ['params...'] : params.split(/, */).filter((one) => one !== '');
      const fault = new Fault(code as never, listed);
      return rows((tx) => failTask(tx, name as Ref<'task'>, host.world.services, fault));
    },
  ],
  [
    /^the operation (?:then )?(?:returns|succeeds|completes|ends)(?: successfully| (.*))?$/,
    ({ rows, host }, [result = '']) =>
      rows((tx) => succeedTask(tx, name as Ref<'task'>, host.world.services, result)),
  ],
  [
    /^(Async\.\w+\.\w+), then task\.cancel$/,
    async (scene, [method = '']) => {
      await waits(scene, method);
      await scene.tried('task.cancel', scene.answer as string);
    },
  ],
  [
    /^(Async\.\w+\.\w+)$/,
    async (scene, [method = '']) => {
      // Of an object that is gone, unless the case has one, for nobody is there to do it.
      const { hasSelf, params } = messageOf(scene, method);
      const self = hasSelf && params[0] !== undefined ? { [params[0].name]: 'OpaqueRef:gone' } : {};
      await call(scene, method, { ...self, ...scene.one.when });
      if (typeof scene.answer === 'string') scene.objects.adopt('task', scene.answer);
    },
  ],
  ...common.when,
];

const finished = ({ host, answer }: Scene) => host.world.finished(answer as Ref<'task'>);
const ends = ['success', 'failure', 'cancelled'];

const expects: readonly Phrase<Pair | undefined>[] = [
  [/^result: a task reference$/, (scene) => [rowOf(scene) !== undefined, true]],
  [
    /^task\.status: pending, then a final state$/,
    async (scene) => [ends.includes((await finished(scene)).status), true],
  ],
  [
    /^task\.finished: (set|unset)$/,
    (scene, [how]) => [(rowOf(scene)?.finished ?? epoch) === epoch ? 'unset' : 'set', how],
  ],
  [/^task\.allowed_operations while waiting: /, ({ kept }, _, value) => [kept.get('waiting'), value]],
  [/^final: (\w+)/, async (scene, [status]) => [(await finished(scene)).status, status]],
  [
    /^fault: (.*)$/,
    (scene, [text = '']) => {
      const method = String(scene.one.when['call']).replace('Async.', '');
      return [errorOf(scene)?.some((one) => one.includes(text.replace('<name>', method))), true];
    },
  ],
  ...common.expects,
];

export const tasks: Adapter = told({ given, when, expects, prepare });
