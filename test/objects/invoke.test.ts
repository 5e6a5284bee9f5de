// Goal: how one operation runs: admitted, worked, undone on failure, settled in one commit, answered after.
// Method: the real runtime in process, with a VM class whose handlers each test scripts.
import { afterEach, describe, expect, test } from 'vitest';
import { VM } from '../../actors/vm/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { implement, type Working } from '../../src/objects/implement.ts';
import { Fault } from '../../src/std/fault.ts';
import { DiskFull } from '../../src/store/durable.ts';
import { type World, world } from '../world.ts';

const vm = 'OpaqueRef:vm' as Ref<'VM'>;
type Work = (working: Working<'VM'>) => Promise<void>;

let w: World;
afterEach(() => w.close());

/** A VM that may run one operation at a time, besides hard_shutdown. */
const open = async (works: { start?: Work; suspend?: Work; hard_shutdown?: Work }): Promise<void> => {
  const none: Work = async () => {};
  const behaviour = implement(
    VM,
    {
      admit: (view, self, operation) => {
        const [running] = [...view.require('VM', self).current_operations.values()];
        if (running === undefined || operation === 'hard_shutdown') return undefined;
        return new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM', self, running, '']);
      },
    },
    {
      start: { operation: 'start', work: works.start ?? none },
      suspend: { operation: 'suspend', work: works.suspend ?? none },
      hard_shutdown: { operation: 'hard_shutdown', cuts: ['start'], work: works.hard_shutdown ?? none },
      set_name_label: {
        decide: ({ tx, self }, { value }: { value: string }) => {
          if (value === 'taken') throw new Fault('INVALID_VALUE', ['name_label', value]);
          tx.patch('VM', self as Ref<'VM'>, { name_label: value });
        },
      },
    },
  );
  w = await world({
    behaviours: [behaviour],
    rows: (tx) => tx.create('VM', vm, { uuid: 'u', name_label: 'old' }),
  });
};

const record = () => w.store.committed.require('VM', vm);
const tasks = () => [...w.store.committed.all('task')];
const start = () => w.call('VM.start', vm, false, false);

/** A promise that a test settles. */
const gate = () => {
  let open: () => void = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, passed };
};

const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

describe('work', () => {
  test('stands in current_operations while it runs, and settles with its changes in one commit', async () => {
    const { open: finish, passed } = gate();
    await open({
      start: async (working) => {
        working.settle((tx) => tx.patch('VM', vm, { name_label: 'started' }));
        await passed;
      },
    });
    const answered = start();
    await w.until(() => record().current_operations.size === 1);
    expect([...record().current_operations.values()]).toEqual(['start']);
    expect(tasks()).toHaveLength(1);
    const before = w.store.generation;
    finish();
    await answered;
    expect(w.store.generation).toBe(before + 1);
    expect(record()).toMatchObject({ name_label: 'started', current_operations: new Map() });
    expect(tasks()).toEqual([]);
  });

  test('that fails is undone newest first and leaves the row as it was', async () => {
    const undone: string[] = [];
    await open({
      start: async (working) => {
        working.undo(() => undone.push('first'));
        working.undo(() => {
          throw new Error('cannot be undone');
        });
        working.undo(() => undone.push('last'));
        working.settle((tx) => tx.patch('VM', vm, { name_label: 'never' }));
        throw new Fault('NO_HOSTS_AVAILABLE');
      },
    });
    await expect(start()).rejects.toMatchObject({ code: 'NO_HOSTS_AVAILABLE' });
    expect(undone).toEqual(['last', 'first']);
    expect(record()).toMatchObject({ name_label: 'old', current_operations: new Map() });
    expect(tasks()).toEqual([]);
  });

  test('that fails with a bug answers INTERNAL_ERROR', async () => {
    await open({
      start: async () => {
        throw new TypeError('oops');
      },
    });
    await expect(start()).rejects.toMatchObject({ code: 'INTERNAL_ERROR', params: ['oops'] });
  });

  test('waits for the operation that it conflicts with', async () => {
    const { open: finish, passed } = gate();
    const order: string[] = [];
    await open({
      start: async () => {
        await passed;
        order.push('start');
      },
      suspend: async () => {
        order.push('suspend');
      },
    });
    const first = start();
    await w.until(() => record().current_operations.size === 1);
    const second = w.call('VM.suspend', vm);
    finish();
    await Promise.all([first, second]);
    expect(order).toEqual(['start', 'suspend']);
  });

  test('that waits for another object goes on waiting through changes that do not free it', async () => {
    const { open: finish, passed } = gate();
    const other = 'OpaqueRef:other' as Ref<'VM'>;
    const behaviour = implement(
      VM,
      {
        admit: (view, self) => {
          const running = [...(view.get('VM', other)?.current_operations.values() ?? [])][0];
          if (self === other || running === undefined) return undefined;
          return new Fault('OTHER_OPERATION_IN_PROGRESS', ['VM', other, running, '']);
        },
      },
      {
        start: { operation: 'start', work: () => passed },
        suspend: { operation: 'suspend', work: async () => {} },
      },
    );
    w = await world({
      behaviours: [behaviour],
      rows: (tx) => {
        for (const ref of [vm, other]) tx.create('VM', ref, { uuid: ref });
      },
    });
    const first = w.call('VM.start', other, false, false);
    await w.until(() => w.store.committed.require('VM', other).current_operations.size === 1);
    const second = w.call('VM.suspend', vm);
    for (const name of ['a', 'b', 'c']) await w.call('VM.set_name_label', other, name);
    finish();
    await Promise.all([first, second]);
    expect(record().current_operations.size).toBe(0);
  });

  test('is cut by the way out, which does not wait for it', async () => {
    await open({ start: ({ signal }) => untilAborted(signal) });
    const first = start();
    first.catch(() => {});
    await w.until(() => record().current_operations.size === 1);
    await w.call('VM.hard_shutdown', vm);
    await expect(first).rejects.toMatchObject({ code: 'TASK_CANCELLED' });
    expect(record().current_operations.size).toBe(0);
  });

  test('is undone when its settling finds no room on the disk', async () => {
    const undone: string[] = [];
    await open({
      start: async (working) => {
        working.undo(() => undone.push('undone'));
        working.settle((tx) => tx.patch('VM', vm, { name_label: 'never' }));
        w.disk.refuseWrites(new DiskFull('no room'));
      },
    });
    await expect(start()).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
    expect(undone).toEqual(['undone']);
    w.disk.refuseWrites(undefined);
    expect(record()).toMatchObject({ name_label: 'old', current_operations: new Map() });
    expect(tasks()).toEqual([]);
  });

  test.each([
    ['a fault', new Fault('VM_IS_TEMPLATE', [vm]), 'VM_IS_TEMPLATE'],
    ['a bug', new Error('a bug'), 'INTERNAL_ERROR'],
  ])(
    'whose admission throws %s is answered with it, and leaves the object to others',
    async (_, thrown, code) => {
      const unless = (): Fault => {
        throw thrown;
      };
      const refusing = implement(VM, {}, { start: { unless, work: async () => {} } });
      w = await world({ behaviours: [refusing], rows: (tx) => tx.create('VM', vm, { uuid: 'u' }) });
      await expect(start()).rejects.toMatchObject({ code });
      await expect(w.callAsync('VM.start', vm, false, false).then(w.finished)).resolves.toMatchObject({
        status: 'failure',
        error_info: expect.arrayContaining([code]),
      });
      expect(w.objects.awake).toBe(0);
    },
  );

  test('for no object at all is HANDLE_INVALID', async () => {
    await open({});
    const nobody = w.call('VM.start', 'OpaqueRef:NULL', false, false);
    await expect(nobody).rejects.toMatchObject({ code: 'HANDLE_INVALID', params: ['VM', 'OpaqueRef:NULL'] });
  });

  test('on a row that is gone is HANDLE_INVALID', async () => {
    await open({});
    await expect(w.call('VM.start', 'OpaqueRef:gone', false, false)).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
      params: ['VM', 'OpaqueRef:gone'],
    });
  });
});

describe('a task', () => {
  test('outlives its call with the result as XML', async () => {
    await open({});
    const task = await w.callAsync('VM.start', vm, false, false);
    expect(await w.finished(task)).toMatchObject({
      name_label: 'Async.VM.start',
      status: 'success',
      progress: 1,
      result: '<value></value>',
      allowed_operations: [],
    });
  });

  test('ends as failure with the fault, or as cancelled', async () => {
    await open({
      start: async () => {
        throw new Fault('NO_HOSTS_AVAILABLE');
      },
      suspend: ({ signal }) => untilAborted(signal),
    });
    const failed = await w.callAsync('VM.start', vm, false, false);
    expect(await w.finished(failed)).toMatchObject({ status: 'failure', error_info: ['NO_HOSTS_AVAILABLE'] });
    const cancelled = await w.callAsync('VM.suspend', vm);
    await w.until(() => record().current_operations.size === 1);
    expect(w.services.cancel(cancelled)).toBe(true);
    expect(await w.finished(cancelled)).toMatchObject({
      status: 'cancelled',
      error_info: [],
    });
    expect(record().current_operations.size).toBe(0);
  });

  test('that waits its turn is cancelled without having begun', async () => {
    const { open: finish, passed } = gate();
    let suspended = false;
    await open({
      start: () => passed,
      suspend: async () => {
        suspended = true;
      },
    });
    const first = start();
    await w.until(() => record().current_operations.size === 1);
    const waiting = await w.callAsync('VM.suspend', vm);
    await w.invoker.decide('VM', vm, () => {});
    expect(w.services.cancel(waiting)).toBe(true);
    expect(await w.finished(waiting)).toMatchObject({ status: 'cancelled' });
    finish();
    await first;
    expect(suspended).toBe(false);
  });

  test('of a message that is not built fails with NOT_IMPLEMENTED and its name', async () => {
    await open({});
    await expect(w.call('VM.checkpoint', vm, 'name')).rejects.toMatchObject({
      code: 'NOT_IMPLEMENTED',
      params: ['VM.checkpoint'],
    });
    const task = await w.callAsync('VM.checkpoint', vm, 'name');
    expect(await w.finished(task)).toMatchObject({
      status: 'failure',
      error_info: ['NOT_IMPLEMENTED', 'VM.checkpoint'],
    });
  });
});

describe('a decision', () => {
  test('is one commit, or none when it throws', async () => {
    await open({});
    const before = w.store.generation;
    await expect(w.call('VM.set_name_label', vm, 'taken')).rejects.toMatchObject({ code: 'INVALID_VALUE' });
    expect(w.store.generation).toBe(before);
    await w.call('VM.set_name_label', vm, 'new');
    expect(w.store.generation).toBe(before + 1);
    expect(record().name_label).toBe('new');
  });

  test('adds to a map once, and removes what may not be there', async () => {
    await open({});
    await w.call('VM.add_to_HVM_boot_params', vm, '__proto__', 'x');
    await expect(w.call('VM.add_to_HVM_boot_params', vm, '__proto__', 'y')).rejects.toMatchObject({
      code: 'MAP_DUPLICATE_KEY',
    });
    expect(record().HVM_boot_params).toEqual(new Map([['__proto__', 'x']]));
    await w.call('VM.remove_from_HVM_boot_params', vm, 'absent');
    await w.call('VM.remove_from_HVM_boot_params', vm, '__proto__');
    expect(record().HVM_boot_params.size).toBe(0);
  });

  test('lets an object sleep again when it has nothing to do', async () => {
    await open({});
    await w.call('VM.set_name_label', vm, 'new');
    expect(w.objects.awake).toBe(0);
  });
});
