import { connect } from 'node:net';
import { readXmlRpcResponse } from '../../../src/codec/xmlrpc-reader.ts';
import type { Ref } from '../../../src/model/types.ts';
import { collectorOf } from '../../../src/objects/collector.ts';
import type { Value } from '../../../src/std/value.ts';
import { type Adapter, against, byName, mapOf, skip } from '../subject.ts';
import { type Live, live, putVm } from './live.ts';

const exists = ({ host }: Live, cls: any, ref: string): boolean =>
  host.world.store.committed.get(cls, ref as never) !== undefined;

const collect = ({ host }: Live): Promise<number> =>
  collectorOf({ catalog: host.world.catalog, store: host.world.store, clock: host.world.services.clock })();

const row = ({ host }: Live, cls: any, ref: string): Record<string, unknown> =>
  host.world.store.committed.require(cls, ref as never) as unknown as Record<string, unknown>;

const vbdOfVm = (here: Live): Promise<void> =>
  here.rows((tx) => {
    const VM = putVm(tx, 'vm');
    tx.create('VBD', 'vbd' as Ref<'VBD'>, { uuid: 'vbd', VM, empty: true });
  });

/** A row that points at nothing, and whether a pass of the collector removes it and what it owns. */
const collected = (
  cls: any,
  fields: Record<string, unknown>,
  owned: Readonly<Record<string, any>> = {},
): Adapter =>
  live(async (here, { then }) => {
    await here.rows((tx) => {
      putVm(tx, 'valid');
      for (const [other, record] of Object.entries(owned)) tx.create(other as any, other as never, record);
      tx.create(cls, 'row' as never, { uuid: 'row', ...fields });
    });
    await collect(here);
    const found = { [`${cls} exists`]: exists(here, cls, 'row') };
    for (const other of Object.keys(owned)) found[`${other} exists`] = exists(here, other, other);
    return against(found, then);
  });

const groups = (here: Live, VMs: readonly string[]): Promise<void> =>
  here.rows((tx) => tx.patch('VM', 'foo' as Ref<'VM'>, { groups: VMs as never }));

const manyToMany = (
  script: (here: Live) => Promise<readonly string[]>,
  expected: readonly string[],
): Adapter =>
  live(async (here) => {
    await here.rows((tx) => {
      tx.create('VM_group', 'bar' as Ref<'VM_group'>, { uuid: 'bar' });
      putVm(tx, 'foo', { groups: ['bar'] });
    });
    return against(await script(here), expected);
  });

const members = (here: Live): readonly string[] => row(here, 'VM_group', 'bar')['VMs'] as readonly string[];

/** A call whose bytes are not text, as no client library would write it. */
const rawCall = ({ host, root }: Live, method: string, self: string, bytes: Buffer): Promise<string> =>
  new Promise((resolve, reject) => {
    const open = `<methodCall><methodName>${method}</methodName><params><param><value>${root}</value></param><param><value>${self}</value></param><param><value>`;
    const body = Buffer.concat([
      Buffer.from(open),
      bytes,
      Buffer.from('</value></param></params></methodCall>'),
    ]);
    const socket = connect(host.port, '127.0.0.1');
    const parts: Buffer[] = [];
    socket.once('error', reject);
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.once('end', () => resolve(Buffer.concat(parts).toString('utf8').split('\r\n\r\n')[1] ?? ''));
    socket.write(`POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n`);
    socket.write(body);
  });

export const databaseSemantics = byName({
  'add_to_other_config of an existing key with another value': live(async (here, { given, when, then }) => {
    await here.rows((tx) => void putVm(tx, '<vm>', { other_config: mapOf(given['VM.other_config']) }));
    return against(await here.tried(when['call'], '<vm>', when['key'], when['value']), then);
  }),
  'idempotent map mode: same pair again is fine': () =>
    skip('there is no mode in which a pair may be added twice'),
  'non-UTF-8 string refused': live(async (here, { when }) => {
    await here.rows((tx) => void putVm(tx, 'vm'));
    const body = await rawCall(here, when['call'], 'vm', Buffer.from(when['value bytes'], 'hex'));
    const answer = readXmlRpcResponse(body);
    // Refused up front and under a better name; what matters is that nothing of it is stored.
    return against([answer.kind, row(here, 'VM', 'vm')['name_label']], ['failure', 'vm']);
  }),
  'get_all_records is not upset by a concurrent destroy': live(async (here) => {
    await here.rows((tx) => {
      for (let i = 0; i < 500; i += 1) tx.create('network', `n${i}` as Ref<'network'>, { uuid: `n${i}` });
    });
    const calls = Array.from({ length: 8 }, () => here.tried('network.get_all_records'));
    await here.rows((tx) => tx.delete('network', 'n7' as Ref<'network'>));
    const sizes = (await Promise.all(calls)).map((answer) => (answer instanceof Map ? answer.size : answer));
    return against(
      sizes.every((size) => size === 499 || size === 500),
      true,
    );
  }),
  'Task.create then read': live(async ({ host, root }, { when, then }) => {
    const task = await host.call('task.create', root, when['label'], '');
    return against({ 'task.name_label': await host.call('task.get_name_label', root, task) }, then);
  }),
  'Task get_all and get_all_records agree': live(async ({ host, root }, { given }) => {
    const made: string[] = [];
    for (const label of given['tasks']) made.push(await host.call('task.create', root, label, ''));
    const [all, records] = [
      await host.call('task.get_all', root),
      await host.call('task.get_all_records', root),
    ];
    const labels = [...(records as Map<string, Map<string, Value>>).values()].map((one) =>
      one.get('name_label'),
    );
    return against(
      [labels.toSorted(), [...all].toSorted(), [...records.keys()].toSorted()],
      [[...given['tasks']].toSorted(), made.toSorted(), made.toSorted()],
    );
  }),
  'one-to-many: creating the child adds it to the parent': live(async (here) => {
    await vbdOfVm(here);
    return against(row(here, 'VM', 'vm')['VBDs'], ['vbd']);
  }),
  'one-to-many: changing an unrelated field leaves the parent alone': live(async (here) => {
    await vbdOfVm(here);
    const before = row(here, 'VM', 'vm');
    await here.rows((tx) => tx.patch('VBD', 'vbd' as Ref<'VBD'>, { mode: 'RO' }));
    return against([row(here, 'VM', 'vm') === before, before['VBDs']], [true, ['vbd']]);
  }),
  'one-to-many: deleting the child removes it from the parent': live(async (here) => {
    await vbdOfVm(here);
    await here.rows((tx) => tx.delete('VBD', 'vbd' as Ref<'VBD'>));
    return against(row(here, 'VM', 'vm')['VBDs'], []);
  }),
  'deleting the parent leaves the child with a dangling reference': live(async (here) => {
    await vbdOfVm(here);
    await here.rows((tx) => tx.delete('VM', 'vm' as Ref<'VM'>));
    const dangling = row(here, 'VBD', 'vbd')['VM'];
    await collect(here);
    return against([dangling, exists(here, 'VBD', 'vbd')], ['vm', false]);
  }),
  'many-to-many: both ends kept in step when one is set': manyToMany(async (here) => members(here), ['foo']),
  'many-to-many: clearing one end clears the other': manyToMany(async (here) => {
    await groups(here, []);
    return members(here);
  }, []),
  'many-to-many: re-adding restores it': manyToMany(
    async (here) => {
      await groups(here, []);
      await groups(here, ['bar']);
      return members(here);
    },
    ['foo'],
  ),
  'disk VBD whose VDI vanished is deleted with its metrics': collected(
    'VBD',
    { type: 'Disk', VDI: 'gone', VM: 'valid', metrics: 'VBD_metrics' },
    { VBD_metrics: { uuid: 'metrics' } },
  ),
  'empty VBD of a valid VM survives': collected('VBD', { type: 'CD', empty: true, VM: 'valid' }),
  'VIF of a vanished VM is deleted': collected('VIF', { VM: 'gone' }),
  'VDI of a vanished SR is deleted': collected('VDI', { SR: 'gone' }),
  'VTPM of a vanished VM is deleted with its secret': collected(
    'VTPM',
    { VM: 'gone', contents: 'secret' },
    { secret: { uuid: 'secret' } },
  ),
  'get of a destroyed reference': live(async ({ tried }, { when, then }) =>
    against(await tried(when['call'], when['self']), then),
  ),
  'get_record of the null reference': live(async ({ tried }, { when, then }) =>
    against(await tried(when['call'], when['self']), then),
  ),
  'get_by_uuid of an unknown uuid': live(async ({ tried }, { when, then }) =>
    against(await tried(when['call'], when['uuid']), then),
  ),
  'get_by_uuid of a uuid of another class': live(async (here, { when }) => {
    await here.rows((tx) => tx.create('VDI', 'vdi' as Ref<'VDI'>, { uuid: 'of-a-disk' }));
    return against(await here.tried(when['call'], 'of-a-disk'), {
      error: ['UUID_INVALID', 'VM', 'of-a-disk'],
    });
  }),
  'get_by_name_label with no match': live(async ({ tried }, { when, then }) =>
    against(await tried(when['call'], when['label']), then['result']),
  ),
  'unparsable filter expression': live(async ({ tried }, { when, then }) => {
    const answer: any = await tried(when['call'], when['expr']);
    return against(answer.error?.slice(0, 2), [then['error code'], then['first parameter']]);
  }),
});
