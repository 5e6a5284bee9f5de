// Goal: while the disk of the data folder is nearly full nothing new begins, and whatever ends or frees goes on.
// Method: every message that is declared, by what its name says; a disk whose room is told by the test.
import { expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { wireActions, wireMessages } from '../../src/model/derive.ts';
import { assertRoom, needsRoom, roomOf } from '../../src/objects/room.ts';

const all = classes.flatMap((cls) => [...wireMessages(cls), ...wireActions(cls)]);
const refused = new Set(all.filter(needsRoom).map(({ method }) => method));

test('Whatever reads, ends work or gives room back is a call that needs none', () => {
  const harmless =
    /\.((.*_)?(get|destroy|forget|remove|cancel|logout|unplug|eject|shutdown|disable|abort|clear)(_.*)?)$/;
  // Named for what they set or make of what is there.
  const others = /\.(set|add|create|reset|enable|register|call|send)_/;
  const wrong = all.filter(
    ({ method }) => harmless.test(method) && !others.test(method) && refused.has(method),
  );
  expect(wrong.map(({ method }) => method)).toEqual([]);
  const kept = ['session.login_with_password', 'event.from', 'task.set_status', 'task.add_to_other_config'];
  for (const method of [...kept, 'pool.designate_new_master', 'VM.clean_reboot', 'host.evacuate'])
    expect(refused.has(method), method).toBe(false);
});

test('Whatever makes something new is a call that needs room', () => {
  const making = /\.(create|clone|copy|snapshot|checkpoint|import|introduce|provision|start|resume)$/;
  const spared = all.filter(
    ({ method, cls }) => making.test(method) && cls.name !== 'task' && !refused.has(method),
  );
  expect(spared.map(({ method }) => method)).toEqual([]);
  for (const method of ['VM.set_name_label', 'VM.add_to_other_config', 'http/put_import_raw_vdi'])
    expect(refused.has(method), method).toBe(true);
});

test('Room is short below a tenth of the disk, and enough again only with some more', async () => {
  const mib = 1n << 20n;
  let freeBytes = 100n * mib;
  const room = roomOf(async () => ({ freeBytes, totalBytes: 1_000n * mib }));
  expect(await room.look()).toBeUndefined();
  freeBytes -= 1n;
  expect(await room.look()).toBe('short');
  freeBytes = 124n * mib;
  expect(await room.look()).toBeUndefined();
  const clone = all.find(({ method }) => method === 'VM.clone');
  if (clone === undefined) throw new Error('There is no VM.clone');
  await expect(assertRoom(room, clone)).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
  freeBytes = 125n * mib;
  await assertRoom(room, clone);
  expect(room.isShort).toBe(false);
});
