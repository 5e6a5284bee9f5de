// Goal: messages can be left, found, filtered and removed, and cannot fill the host.
// Method: message messages by wire name on one host in process, with a clock that the test moves.
import { describe, expect, test } from 'vitest';
import message from '../../actors/message/behaviour.ts';
import { dateTimeOf, datetime, epoch, type Ref } from '../../src/model/types.ts';
import type { Caller } from '../../src/objects/implement.ts';
import { hostCaller } from '../../src/objects/invoke.ts';
import { messagesMax, messagesOfUserMax } from '../../src/rules/messages.ts';
import { manualClock } from '../manual-clock.ts';
import { world } from '../world.ts';

const vm = '11111111-1111-4111-8111-111111111111';

const opened = async () => {
  const clock = manualClock(Date.UTC(2026, 0, 2, 12));
  const here = await world({
    behaviours: [message],
    clock,
    rows: (tx) => tx.create('VM', 'OpaqueRef:vm' as Ref<'VM'>, { uuid: vm }),
  });
  const hostUuid = here.store.committed.require('host', here.host).uuid;
  const left = (name: string, priority: bigint, cls = 'VM', uuid = vm): Promise<Ref<'message'>> =>
    here.call('message.create', name, priority, cls, uuid, 'body');
  return { ...here, clock, hostUuid, left };
};

describe('Messages', () => {
  test('are about something that exists, and say when they were left', async () => {
    const here = await opened();
    const ref = await here.left('VM_EXPLODED', 1n);
    const record = await here.call('message.get_record', ref);
    expect(record).toMatchObject({
      name: 'VM_EXPLODED',
      cls: 'VM',
      obj_uuid: vm,
      timestamp: '20260102T12:00:00Z',
    });
    expect(await here.call('message.get_by_uuid', record.uuid)).toBe(ref);
    await expect(here.left('X', 1n, 'Host', vm)).rejects.toMatchObject({
      code: 'UUID_INVALID',
      params: ['Host', vm],
    });
    await expect(here.call('message.get_record', 'OpaqueRef:gone')).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    });
    await here.close();
  });

  test('are found by conditions as other objects are', async () => {
    const here = await opened();
    await here.left('VM_EXPLODED', 100n);
    await here.left('HOST_EXPLODED', 100n, 'Host', here.hostUuid);
    await here.left('VM_DROWNED', 50n);
    const found = async (expr: string) =>
      [...(await here.call('message.get_all_records_where', expr)).values()].map(({ name }: any) => name);
    expect(await found('field "name" = "VM_EXPLODED"')).toEqual(['VM_EXPLODED']);
    expect(await found('field "priority" = "100"')).toEqual(['VM_EXPLODED', 'HOST_EXPLODED']);
    expect(await found('field "cls" = "VM" and field "priority" = "50"')).toEqual(['VM_DROWNED']);
    expect(await found('field "class" = "VM"')).toEqual([]);
    expect(await found('field "cls" = "VM" or field "name" = "HOST_EXPLODED"')).toHaveLength(3);
    expect(await here.call('message.get_all')).toHaveLength(3);
    await here.close();
  });

  test.each(['2026-01-01T00:00:00Z', '2026-01-01T00:00:00', '20260101T00:00:00Z', '20260101T00:00:00-12:00'])(
    'are told since %s',
    async (since) => {
      const here = await opened();
      await here.left('A', 1n);
      expect((await here.call('message.get_since', datetime.read(since, ''))).size).toBe(1);
      expect((await here.call('message.get', 'VM', vm, epoch)).size).toBe(1);
      expect((await here.call('message.get_since', dateTimeOf(here.clock.now()))).size).toBe(0);
      await here.close();
    },
  );

  test('are removed one by one, several at once, or by filters that all must hold', async () => {
    const here = await opened();
    const refs = [];
    for (const priority of [1n, 2n, 2n, 3n, 3n]) {
      refs.push(await here.left(`P${priority}`, priority));
      await here.clock.advance(60_000);
    }
    await here.call('message.destroy', refs[0]);
    await expect(here.call('message.destroy_many', [refs[1], refs[0]])).rejects.toMatchObject({
      code: 'HANDLE_INVALID',
    });
    expect(await here.call('message.get_all')).toHaveLength(4);
    await here.call('message.destroy_many', [refs[1]]);
    const filters = new Map([
      ['priority', '3'],
      ['before', '2026-01-02T12:03:30Z'],
    ]);
    await here.call('message.destroy_all', filters);
    expect(await here.call('message.get_all')).toEqual([refs[2], refs[4]]);
    await expect(here.call('message.destroy_all', new Map([['colour', 'red']]))).rejects.toMatchObject({
      code: 'INVALID_VALUE',
      params: ['colour', 'red'],
    });
    await expect(here.call('message.destroy_all', new Map([['after', 'soon']]))).rejects.toMatchObject({
      code: 'INVALID_VALUE',
    });
    await here.call('message.destroy_all', new Map());
    expect(await here.call('message.get_all')).toEqual([]);
    await here.close();
  });

  test("of one user are so many at most: his oldest goes, and nobody else's", async () => {
    const here = await opened();
    await here.store.commit((tx) => {
      for (let i = 0; i <= messagesOfUserMax; i += 1) {
        tx.create('message', `OpaqueRef:m${i}` as Ref<'message'>, {
          uuid: `m${i}`,
          holder: i === 0 ? '' : 'ann',
          timestamp: dateTimeOf(here.clock.now() - (i === 7 ? 5_000 : i === 0 ? 9_000 : 1_000)),
        });
      }
    });
    const ann: Caller = { ...hostCaller, user: 'ann' };
    await here.callAs(ann, 'message.create', 'n', 1n, 'VM', vm, '');
    expect(await here.call('message.get_all')).toHaveLength(messagesOfUserMax + 1);
    await expect(here.call('message.get_by_uuid', 'm7')).rejects.toMatchObject({ code: 'UUID_INVALID' });
    expect(await here.call('message.get_by_uuid', 'm0')).toBe('OpaqueRef:m0');
    await here.close();
  });

  test('at the limit the oldest goes as a new one comes, and none is endless', async () => {
    const here = await opened();
    await here.store.commit((tx) => {
      for (let i = 0; i < messagesMax; i += 1) {
        tx.create('message', `OpaqueRef:m${i}` as Ref<'message'>, {
          uuid: `m${i}`,
          timestamp: dateTimeOf(here.clock.now() - (i === 7 ? 10_000 : 5_000)),
        });
      }
    });
    await here.left('new', 1n);
    expect(await here.call('message.get_all')).toHaveLength(messagesMax);
    await expect(here.call('message.get_by_uuid', 'm7')).rejects.toMatchObject({ code: 'UUID_INVALID' });
    await expect(here.call('message.create', 'n', 1n, 'VM', vm, 'x'.repeat(32_769))).rejects.toMatchObject({
      code: 'INVALID_VALUE',
    });
    await here.close();
  });
});
