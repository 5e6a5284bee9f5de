// Goal: while the disk of the data folder is nearly full nothing new begins, and whatever ends or frees goes on.
// Method: every message that is declared, by what it is declared to do; a disk whose room is told by the test.
import { expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { wireActions, wireMessages } from '../../src/model/derive.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { assertRoom, needsRoom, roomOf } from '../../src/objects/room.ts';

const all = classes.flatMap((cls) => [...wireMessages(cls), ...wireActions(cls)]);
const catalog = catalogOf(classes, behaviours);
const refused = new Set(all.filter((one) => needsRoom(catalog, one)).map(({ method }) => method));

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

test('Names say nothing: what is read is read by its handler, and what is set is set', () => {
  for (const method of ['VM.maximise_memory', 'pool.ha_failover_plan_exists'])
    expect(refused.has(method), method).toBe(false);
  for (const method of ['VM.set_shutdown_delay', 'PIF.set_disallow_unplug'])
    expect(refused.has(method), method).toBe(true);
});

test('Whatever makes something new is a call that needs room', () => {
  const making = /\.(create|clone|copy|snapshot|checkpoint|import|introduce|provision|start|resume)$/;
  const spared = all.filter(
    (one) =>
      making.test(one.method) &&
      one.cls.name !== 'task' &&
      catalog.handler(one) !== undefined &&
      !refused.has(one.method),
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
  await expect(assertRoom(room, catalog, clone)).rejects.toMatchObject({ code: 'OUT_OF_SPACE' });
  freeBytes = 125n * mib;
  await assertRoom(room, catalog, clone);
  expect(room.isShort).toBe(false);
});
