import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import { type Caller, type Deciding, implement } from '../../src/objects/implement.ts';
import { createTask, mayTouch, newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { task } from './class.ts';
import { destroyMark, isOpen } from './collect.ts';

/** Tasks of all kinds. At the limit clients cannot make more by hand. */
export const tasksMax = 10_000;

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
        if ((services.store.tables.get('task')?.entries.size ?? 0) >= tasksMax) {
          throw new Fault('TOO_MANY_PENDING_TASKS');
        }
        const ref = newRef<'task'>(services);
        const watched = 'until-destroyed';
        createTask(tx, ref, services, { label, description, cancellable: true, watched, caller });
        return ref;
      },
    },
    destroy: {
      decide: (deciding) => {
        const { tx, caller } = deciding;
        assertOwner(tx, self(deciding), caller, 'task.destroy/any');
        // The work goes on and is still seen; the collector removes the task once it has ended.
        if (!isOpen(tx.require('task', self(deciding)).status)) tx.delete('task', self(deciding));
        else tx.patch('task', self(deciding), { current_operations: destroyMark });
      },
    },
    cancel: {
      work: async ({ self: ref, caller, services, commit }) => {
        const cancellable = await commit((tx) => {
          assertOwner(tx, ref, caller, 'task.destroy/any');
          const { status, allowed_operations, current_operations } = tx.require('task', ref);
          // Cancelling what is over changes nothing and is no error.
          if (!isOpen(status)) return false;
          if (!allowed_operations.includes('cancel')) {
            throw new Fault('OPERATION_NOT_ALLOWED', ['The task can no longer be cancelled']);
          }
          tx.patch('task', ref, {
            current_operations: new Map([...current_operations, ['cancel', 'cancel'] as const]),
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
        change(deciding, { status: value, ...(isOpen(value) ? {} : final) });
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
