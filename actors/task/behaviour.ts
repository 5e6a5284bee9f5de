import { dateTimeOf, nullRef, type Ref } from '../../src/model/types.ts';
import { type Caller, type Deciding, implement } from '../../src/objects/implement.ts';
import { assertTaskRoom, createTask, isOpen, mayTouch, newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { task } from './class.ts';
import { destroyMark } from './collect.ts';

const assertOwner = (view: View, self: Ref<'task'>, caller: Caller, permission: string): void => {
  if (mayTouch(view, self, caller)) return;
  throw new Fault('RBAC_PERMISSION_DENIED', [
    permission,
    'The task was started by somebody else. (Roles with this permission: pool-admin, pool-operator)',
  ]);
};

const self = ({ self: ref }: Pick<Deciding, 'self'>): Ref<'task'> => ref as Ref<'task'>;

/** Changes a task on behalf of its owner. */
const change = (deciding: Deciding, changes: Parameters<Deciding['tx']['patch']>[2] & object): void => {
  assertOwner(deciding.tx, self(deciding), deciding.caller, 'task.destroy/any');
  deciding.tx.patch('task', self(deciding), changes as never);
  assertTaskRoom(deciding.tx, deciding.tx.require('task', self(deciding)));
};

const otherConfig = ({ tx, self: ref }: Deciding): ReadonlyMap<string, string> =>
  tx.require('task', ref as Ref<'task'>).other_config;

export default implement(
  task,
  // It knows where the work was sent.
  { home: (_view, _self, { resident_on }) => resident_on },
  {
    create: {
      decide: ({ tx, caller, services }, { label, description }) => {
        const ref = newRef<'task'>(services);
        const watched = 'until-destroyed';
        const about = { label, description, cancellable: true, byHand: true } as const;
        createTask(tx, ref, services, { ...about, watched, caller });
        return ref;
      },
    },
    destroy: {
      decide: (deciding) => {
        const { tx, caller } = deciding;
        assertOwner(tx, self(deciding), caller, 'task.destroy/any');
        const record = tx.require('task', self(deciding));
        // Work goes on and is still seen; the collector removes its task once it has ended.
        if (!isOpen(record) || record.by_hand) tx.delete('task', self(deciding));
        else tx.patch('task', self(deciding), { current_operations: destroyMark });
      },
    },
    cancel: {
      work: async ({ self: ref, task: canceller, caller, services, commit }) => {
        // Named by the task that cancels, where the call has one.
        const by = canceller === nullRef ? `DummyRef:|${services.random.uuid()}|` : canceller;
        const cancellable = await commit((tx) => {
          assertOwner(tx, ref, caller, 'task.destroy/any');
          const record = tx.require('task', ref);
          // Cancelling what is over changes nothing and is no error.
          if (!isOpen(record)) return false;
          if (!record.allowed_operations.includes('cancel')) {
            throw new Fault('OPERATION_NOT_ALLOWED', ['The task can no longer be cancelled']);
          }
          // Noted once, so that who asks again and again adds nothing.
          if ([...record.current_operations.values()].includes('cancel')) return true;
          tx.patch('task', ref, {
            current_operations: new Map([...record.current_operations, [by, 'cancel'] as const]),
          });
          return true;
        });
        if (cancellable) services.cancel(ref);
      },
    },
    set_status: {
      decide: (deciding, { value }) => {
        const { clock } = deciding.services;
        const final = {
          finished: dateTimeOf(clock.now()),
          allowed_operations: [],
          current_operations: new Map(),
        };
        change(deciding, { status: value, ...(isOpen({ status: value }) ? {} : final) });
      },
    },
    set_progress: {
      decide: (deciding, { value }) => {
        if (!(value >= 0 && value <= 1)) throw new Fault('INVALID_VALUE', ['progress', String(value)]);
        change(deciding, { progress: value });
      },
    },
    set_result: { decide: (deciding, { value }) => change(deciding, { result: value }) },
    set_error_info: { decide: (deciding, { value }) => change(deciding, { error_info: value }) },
    set_other_config: { decide: (deciding, { value }) => change(deciding, { other_config: value }) },
    add_to_other_config: {
      decide: (deciding, { key, value }) => {
        const old = otherConfig(deciding);
        if (old.has(key)) throw new Fault('MAP_DUPLICATE_KEY', ['task', 'other_config', deciding.self, key]);
        change(deciding, { other_config: new Map([...old, [key, value]]) });
      },
    },
    remove_from_other_config: {
      decide: (deciding, { key }) =>
        change(deciding, {
          other_config: new Map([...otherConfig(deciding)].filter(([one]) => one !== key)),
        }),
    },
  },
);
