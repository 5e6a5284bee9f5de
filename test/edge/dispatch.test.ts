// Goal: calls are refused in the documented order and with the documented words, and are done only when nothing speaks against it.
// Method: a whole host behind the real HTTP server; sessions of every kind are made in the store, calls go over the wire
// in both languages.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { VM } from '../../actors/vm/class.ts';
import { constructorFields } from '../../src/model/derive.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { struct, type Value } from '../../src/std/value.ts';
import { type Served, served } from './served.ts';

const vm = 'OpaqueRef:vm' as Ref<'VM'>;

type Config = ReadonlyMap<string, string>;
interface Pair {
  readonly key: string;
  readonly value: string;
}

const edit = ({ tx, self }: Deciding, change: (map: Map<string, string>) => unknown): void => {
  const map = new Map(tx.require('VM', self as Ref<'VM'>).other_config);
  change(map);
  tx.patch('VM', self as Ref<'VM'>, { other_config: map });
};

const vmBehaviour = implement(
  VM,
  {},
  {
    clean_shutdown: {
      work: async () => {
        throw new TypeError('a bug of ours');
      },
    },
    // What a setter, an adder and a remover of a whole map are, without the checks of the product.
    set_other_config: {
      decide: (deciding: Deciding, { value }: { value: Config }) =>
        edit(deciding, (map) => {
          map.clear();
          for (const [key, item] of value) map.set(key, item);
        }),
    },
    add_to_other_config: {
      decide: (deciding: Deciding, { key, value }: Pair) => edit(deciding, (map) => map.set(key, value)),
    },
    remove_from_other_config: {
      decide: (deciding: Deciding, { key }: { key: string }) => edit(deciding, (map) => map.delete(key)),
    },
    snapshot: {
      work: async (_, { new_name, ignore_vdis }) =>
        `OpaqueRef:${new_name}-${ignore_vdis.length}` as Ref<'VM'>,
    },
  },
);

let host: Served;
let root: string;
let reader: string;
let vmAdmin: string;

beforeAll(async () => {
  host = await served({
    behaviours: [vmBehaviour],
    rows: (tx) =>
      tx.create('VM', vm, { uuid: 'u1', name_label: 'one', other_config: new Map([['pci', '0/1']]) }),
  });
  root = await host.session();
  reader = await host.sessionWithRole('read-only');
  vmAdmin = await host.sessionWithRole('vm-admin');
});
afterAll(() => host.close());

/** The same call in both languages must get the same refusal. Over XML-RPC an integer may be a text, so those differ. */
const refusal = async (method: string, ...params: readonly Value[]): Promise<readonly string[]> => {
  const overJson = await host.json(method, ...params);
  if (!params.some((param) => typeof param === 'bigint')) {
    expect(await host.xml(method, ...params)).toEqual(overJson);
  }
  if ('error' in overJson) return overJson.error;
  throw new Error(`${method} was answered`);
};

describe('the number of parameters', () => {
  test('is checked before the session, and without any parameter it is -1', async () => {
    expect(await refusal('VM.start', 'OpaqueRef:bad', vm)).toEqual([
      'MESSAGE_PARAMETER_COUNT_MISMATCH',
      'VM.start',
      '3',
      '1',
    ]);
    expect((await refusal('VM.start')).at(-1)).toBe('-1');
  });

  test('is refused by the name without its prefix', async () => {
    expect((await refusal('Async.VM.start', root))[1]).toBe('VM.start');
    expect((await refusal('InternalAsync.VM.start', root))[1]).toBe('VM.start');
    expect((await refusal('VM_start', root))[1]).toBe('VM_start');
  });

  test('may be too large only where some have a default', async () => {
    expect((await refusal('VM.get_uuid', root, vm, 'more')).slice(1)).toEqual(['VM.get_uuid', '1', '2']);
    expect(await host.call('VM.snapshot', root, vm, 'a')).toBe('OpaqueRef:a-0');
    expect(await host.call('VM.snapshot', root, vm, 'a', ['OpaqueRef:x'])).toBe('OpaqueRef:a-1');
    expect(await host.call('VM.snapshot', root, vm, 'a', ['OpaqueRef:x'], 'more', 'and more')).toBe(
      'OpaqueRef:a-1',
    );
  });
});

describe('the types of parameters', () => {
  const typeErrors: [string, string, readonly Value[]][] = [
    ["Expected string, got 'I(1)'", 'VM.get_uuid', ['OpaqueRef:bad', 1n]],
    ["Expected string, got 'I(1)'", 'VM.get_uuid', [1n, vm]],
    ['Int64.of_string', 'VM.set_memory_static_max', ['OpaqueRef:bad', vm, 'much']],
    ["Expected int64, got 'B(true)'", 'VM.set_memory_static_max', ['OpaqueRef:bad', vm, true]],
    ["Expected bool, got 'S(true)'", 'VM.set_is_a_template', ['OpaqueRef:bad', vm, 'true']],
    ['Unknown tag/contents', 'VM.set_actions_after_crash', ['OpaqueRef:bad', vm, 'dance']],
    ["Expecting Rpc.Enum, but found 'S(a)'", 'VM.set_tags', ['OpaqueRef:bad', vm, 'a']],
    ["Expecting Rpc.Dict, but found 'S(a)'", 'VM.set_other_config', ['OpaqueRef:bad', vm, 'a']],
    ['bad __structure', 'VM.create', ['OpaqueRef:bad', 'a']],
  ];
  test.for(typeErrors)('are checked before the session: %s', async ([text, method, params]) => {
    expect(await refusal(method, ...params)).toEqual(['INTERNAL_ERROR', `Failure("${text}")`]);
  });

  test('include the members that a constructor must be given', async () => {
    expect(await refusal('network.create', 'OpaqueRef:bad', struct({ name_label: 'a' }))).toEqual([
      'INTERNAL_ERROR',
      expect.stringMatching(/^Server_helpers\.Dispatcher_FieldNotFound\("\w+"\)$/),
    ]);
  });
});

describe('the session', () => {
  test('must exist, and is named as it was given', async () => {
    expect(await refusal('VM.get_all', 'OpaqueRef:bogus')).toEqual(['SESSION_INVALID', 'OpaqueRef:bogus']);
  });

  test('is over after a logout', async () => {
    const session = await host.session();
    await host.call('session.logout', session);
    expect(await refusal('VM.get_all', session)).toEqual(['SESSION_INVALID', session]);
  });

  test('is not needed to log in, and its user then has all rights of the local superuser', async () => {
    const session = await host.call('session.login_with_password', 'root', 'pa:ss');
    expect(await host.call('session.get_is_local_superuser', session, session)).toBe(true);
  });

  test('of a client may not send what hosts of the pool send each other', async () => {
    const internal = host.world.catalog.messages.find(({ declared }) => declared?.poolInternal === true)!;
    const none: Value[] = internal.params.map(({ type }) =>
      type.kind === 'set'
        ? []
        : type.kind === 'map' || type.kind === 'record'
          ? new Map()
          : type.kind === 'bool'
            ? true
            : type.kind === 'datetime'
              ? { dateTime: '19700101T00:00:00Z' }
              : type.kind === 'enum'
                ? type.values![0]!
                : '1',
    );
    expect(await refusal(internal.method, root, ...none)).toEqual([
      'INTERNAL_ERROR',
      `Internal API "${internal.method}" call attempted with non-pool (external) session`,
    ]);
  });

  test('is checked before a message that was removed', async () => {
    const removed = host.world.catalog.messages.find((one) => one.removed && one.params.length === 1)!;
    expect((await refusal(removed.method, 'OpaqueRef:bad', vm))[0]).toBe('SESSION_INVALID');
    expect(await refusal(removed.method, root, vm)).toEqual(['MESSAGE_REMOVED']);
  });

  test('is checked before the lack of an asynchronous form, and rights after it', async () => {
    expect((await refusal('Async.VM.get_record', 'OpaqueRef:bad', vm))[0]).toBe('SESSION_INVALID');
    const none = ['Fault', 'No async mode for this operation (rpc: VM.get_record)'];
    expect(await refusal('Async.VM.get_record', root, vm)).toEqual(none);
    expect(await refusal('Async.VM.set_name_label', reader, vm, 'a')).toEqual([
      'Fault',
      'No async mode for this operation (rpc: VM.set_name_label)',
    ]);
  });

  test('says when it was last used, at most every ten minutes', async () => {
    const session = await host.session({ last_active: '20200101T00:00:00Z' as never });
    const changed = host.world.until(
      () => host.world.store.committed.get('session', session)?.last_active !== '20200101T00:00:00Z',
    );
    await host.call('VM.get_all', session);
    await changed;
    const { generation } = host.world.store;
    await host.call('VM.get_all', session);
    expect(host.world.store.generation).toBe(generation);
  });
});

describe('rights', () => {
  test('are by role, and the refusal names the permission and who has it', async () => {
    expect(await refusal('VM.set_name_label', reader, vm, 'a')).toEqual([
      'RBAC_PERMISSION_DENIED',
      'vm.set_name_label',
      'No permission in user session. (Roles with this permission: pool-admin, pool-operator, vm-power-admin, vm-admin)',
    ]);
    expect(await host.call('VM.get_name_label', reader, vm)).toBe('one');
  });

  test('are checked before the object is looked at', async () => {
    expect((await refusal('VM.set_name_label', reader, 'OpaqueRef:none', 'a'))[0]).toBe(
      'RBAC_PERMISSION_DENIED',
    );
    expect(await refusal('VM.set_name_label', root, 'OpaqueRef:none', 'a')).toEqual([
      'HANDLE_INVALID',
      'VM',
      'OpaqueRef:none',
    ]);
  });

  test('of an asynchronous call end its task instead of refusing one', async () => {
    const task = await host.call('Async.VM.snapshot', reader, vm, 'a');
    const record = host.world.store.committed.require('task', task);
    expect(record.status).toBe('failure');
    expect(record.name_label).toBe('Async.VM.snapshot');
    expect(record.error_info.slice(0, 2)).toEqual(['RBAC_PERMISSION_DENIED', 'vm.snapshot']);
  });

  test('on a guarded key take the place of the rights on the message', async () => {
    expect((await refusal('VM.add_to_other_config', vmAdmin, vm, 'pci', '0/2')).slice(0, 2)).toEqual([
      'RBAC_PERMISSION_DENIED',
      'vm.add_to_other_config/key:pci',
    ]);
    expect((await refusal('VM.remove_from_other_config', vmAdmin, vm, 'pci'))[1]).toBe(
      'vm.remove_from_other_config/key:pci',
    );
    expect(await host.call('VM.add_to_other_config', vmAdmin, vm, 'unguarded', '1')).toBe('');
    const operator = await host.sessionWithRole('vm-operator');
    expect(
      await host.call('VM.add_to_other_config', operator, vm, 'XenCenter.CustomFields.Owner', 'me'),
    ).toBe('');
    expect((await refusal('VM.add_to_other_config', operator, vm, 'Folder', 'f'))[1]).toBe(
      'vm.add_to_other_config',
    );
  });

  test('on guarded keys hold also where the whole map is set, for every key that it changes', async () => {
    const map = (entries: Record<string, string>): Value => new Map(Object.entries(entries));
    const denied = 'vm.set_other_config/key:pci';
    expect((await refusal('VM.set_other_config', vmAdmin, vm, map({ pci: '0/9' })))[1]).toBe(denied);
    expect((await refusal('VM.set_other_config', vmAdmin, vm, map({})))[1]).toBe(denied);
    expect(await host.call('VM.set_other_config', vmAdmin, vm, map({ pci: '0/1', mine: '1' }))).toBe('');
    expect(await host.call('VM.set_other_config', root, vm, map({}))).toBe('');
    expect((await refusal('VM.set_other_config', vmAdmin, vm, map({ pci: '0/1' })))[1]).toBe(denied);
    expect((await refusal('VM.set_other_config', reader, vm, map({})))[1]).toBe('vm.set_other_config');
  });
});

test('rights on guarded keys hold also where they are given to a new object', async () => {
  const record = Object.fromEntries(
    constructorFields(VM).flatMap(([name, field]): [string, Value][] =>
      field.default === undefined ? [[name, field.type.empty as Value]] : [],
    ),
  );
  const create = (session: string, key: string) =>
    refusal(
      'VM.create',
      session,
      new Map(Object.entries({ ...record, other_config: new Map([[key, '1']]) })),
    );
  expect((await create(vmAdmin, 'pci'))[1]).toBe('vm.add_to_other_config/key:pci');
  expect((await create(vmAdmin, 'mine'))[0]).not.toBe('RBAC_PERMISSION_DENIED');
  expect((await create(root, 'pci'))[0]).not.toBe('RBAC_PERMISSION_DENIED');
});

describe('names', () => {
  test('may be spelled with an underscore behind the class, and with a prefix for a task', async () => {
    expect(await host.call('VM_get_name_label', root, vm)).toBe('one');
    expect(await host.call('Async.VM_snapshot', root, vm, 'a')).toMatch(/^OpaqueRef:/);
    expect(await host.call('InternalAsync.VM.snapshot', root, vm, 'a')).toMatch(/^OpaqueRef:/);
    expect(await refusal('Async_VM_snapshot')).toEqual(['MESSAGE_METHOD_UNKNOWN', 'Async_VM_snapshot']);
    expect(await refusal('vm.get_all')).toEqual(['MESSAGE_METHOD_UNKNOWN', 'vm.get_all']);
  });

  test('that are unknown are looked at as extensions are: session, rights, and only then unknown', async () => {
    expect(await refusal('VM.nope')).toEqual(['MESSAGE_METHOD_UNKNOWN', 'VM.nope']);
    expect(await refusal('VM.nope', 1n)).toEqual([
      'INTERNAL_ERROR',
      `Failure("Expected string, got 'I(1)'")`,
    ]);
    expect(await refusal('VM.nope', 'OpaqueRef:bad')).toEqual(['SESSION_INVALID', 'OpaqueRef:bad']);
    expect((await refusal('VM.nope', reader)).slice(0, 2)).toEqual([
      'RBAC_PERMISSION_DENIED',
      'host.call_extension',
    ]);
    expect(await refusal('VM.nope', root, vm)).toEqual(['MESSAGE_METHOD_UNKNOWN', 'VM.nope']);
  });

  test('of the system need no session', async () => {
    const methods = await host.call('system.listMethods');
    expect(methods).toEqual(await host.xml('system.listMethods').then((reply: any) => reply.value));
    expect(methods).toContain('VM.get_all_records');
    expect(methods.some((name: string) => name.startsWith('Async.'))).toBe(false);
    expect(await host.call('system.isAlive:anything', 'here')).toBe('here');
    expect(await host.xml('system.isAlive:', 'there')).toEqual({ value: 'there' });
    expect((await refusal('system.isAlive:nothing'))[0]).toBe('MESSAGE_PARAMETER_COUNT_MISMATCH');
  });
});

describe('the implementation', () => {
  test('finds nothing under a dead reference or an unknown uuid', async () => {
    for (const method of ['VM.get_record', 'VM.get_name_label', 'VM.clean_shutdown']) {
      expect(await refusal(method, root, 'OpaqueRef:none')).toEqual([
        'HANDLE_INVALID',
        'VM',
        'OpaqueRef:none',
      ]);
    }
    expect(await refusal('VM.get_by_uuid', root, 'none')).toEqual(['UUID_INVALID', 'VM', 'none']);
  });

  test('refuses a bad expression with a reason', async () => {
    const [code, expr, reason] = await refusal('VM.get_all_records_where', root, 'field x');
    expect([code, expr]).toEqual(['INVALID_VALUE', 'field x']);
    expect(reason).toContain('offset 5');
  });

  test('that fails with a bug is INTERNAL_ERROR to the client', async () => {
    expect(await refusal('VM.clean_shutdown', root, vm)).toEqual(['INTERNAL_ERROR', 'a bug of ours']);
    expect(host.takeErrors().map(({ message }) => message)).toContain('A handler failed with a bug');
  });

  test('that nobody wrote yet says so', async () => {
    expect((await refusal('VM.start', root, vm, false, false))[0]).toBe('NOT_IMPLEMENTED');
  });

  test('outlives the caller in a task that is kept until it is destroyed', async () => {
    const task = await host.call('Async.VM.snapshot', root, vm, 'b');
    expect(await host.world.finished(task)).toMatchObject({
      status: 'success',
      result: '<value>OpaqueRef:b-0</value>',
    });
  });
});
