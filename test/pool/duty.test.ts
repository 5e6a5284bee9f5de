// Goal: which duty a host has follows from what it is told, in each of them and for every message, and from nothing else.
// Method: the machine alone: each duty is given each message, and what comes out is compared with a table.
import { describe, expect, test } from 'vitest';
import type { Ref } from '../../src/model/types.ts';
import { type Duty, type DutyEffect, type DutyMessage, dutyMachine } from '../../src/pool/duty.ts';
import { Fault } from '../../src/std/fault.ts';

const [a, b] = ['OpaqueRef:a', 'OpaqueRef:b'] as [Ref<'host'>, Ref<'host'>];
const why = new Fault('HOST_STILL_BOOTING', ['nobody answers']);

const duties = {
  starts: { kind: 'starts' },
  seeks: { kind: 'seeks', last: a },
  catchesUp: { kind: 'follows', leader: a, epoch: 5, synced: false },
  follows: { kind: 'follows', leader: a, epoch: 5, synced: true },
  begins: { kind: 'leads', epoch: 5, ready: false },
  leads: { kind: 'leads', epoch: 5, ready: true },
  stopped: { kind: 'stopped' },
} as const satisfies Record<string, Duty>;

const messages = {
  none: { kind: 'told', leadership: { kind: 'none', why } },
  'other, the same': { kind: 'told', leadership: { kind: 'other', host: a, epoch: 5 } },
  'other, of a higher epoch': { kind: 'told', leadership: { kind: 'other', host: a, epoch: 6 } },
  'another host': { kind: 'told', leadership: { kind: 'other', host: b, epoch: 6 } },
  here: { kind: 'told', leadership: { kind: 'here', epoch: 5 } },
  'here, in a higher epoch': { kind: 'told', leadership: { kind: 'here', epoch: 6 } },
  'its epoch': { kind: 'heard', epoch: 5 },
  'a higher epoch': { kind: 'heard', epoch: 6 },
  synced: { kind: 'synced', epoch: 5 },
  'synced of before': { kind: 'synced', epoch: 4 },
  began: { kind: 'began', epoch: 5 },
  'began of before': { kind: 'began', epoch: 4 },
  failed: { kind: 'failed', epoch: 5 },
  'failed of before': { kind: 'failed', epoch: 4 },
  again: { kind: 'again', epoch: 5 },
  'again of before': { kind: 'again', epoch: 4 },
  stop: { kind: 'stop' },
} as const satisfies Record<string, DutyMessage>;

type RoleName = keyof typeof duties;
type MessageName = keyof typeof messages;
type Expected = readonly [next: Duty, ...effects: DutyEffect[]];

const end = { do: 'end' } as const;
const wait = { do: 'wait' } as const;
const follow = (host: Ref<'host'>, epoch: number): DutyEffect => ({ do: 'follow', host, epoch });
const lead = (epoch: number): DutyEffect => ({ do: 'lead', epoch });
const following = (leader: Ref<'host'>, epoch: number): Duty => ({
  kind: 'follows',
  leader,
  epoch,
  synced: false,
});
const begins = (epoch: number): Duty => ({ kind: 'leads', epoch, ready: false });

/** What a change of leadership leads to, from any part that is not over. */
const taken: Partial<Record<MessageName, Expected>> = {
  'other, the same': [following(a, 5), end, follow(a, 5)],
  'other, of a higher epoch': [following(a, 6), end, follow(a, 6)],
  'another host': [following(b, 6), end, follow(b, 6)],
  here: [begins(5), end, lead(5)],
  'here, in a higher epoch': [begins(6), end, lead(6)],
  stop: [{ kind: 'stopped' }, end],
};

/** Everything that is not listed changes nothing. */
const table: Record<RoleName, Partial<Record<MessageName, Expected>>> = {
  starts: { ...taken, none: [{ kind: 'seeks', why }, end, wait] },
  seeks: { ...taken, none: [{ kind: 'seeks', last: a, why }] },
  catchesUp: {
    ...taken,
    'other, the same': [duties.catchesUp],
    none: [{ kind: 'seeks', last: a, why }, end, wait],
    synced: [duties.follows, { do: 'noteLeader', host: a, epoch: 5 }],
    failed: [duties.catchesUp, { do: 'retry', epoch: 5 }],
    again: [duties.catchesUp, follow(a, 5)],
  },
  follows: {
    ...taken,
    'other, the same': [duties.follows],
    none: [{ kind: 'seeks', last: a, why }, end, wait],
    failed: [duties.catchesUp, { do: 'retry', epoch: 5 }],
  },
  begins: {
    ...taken,
    here: [duties.begins],
    none: [{ kind: 'seeks', why }, end, wait],
    'a higher epoch': [{ kind: 'seeks' }, end, wait],
    began: [duties.leads, { do: 'beginLeading' }],
    failed: [duties.begins, { do: 'retry', epoch: 5 }],
    again: [duties.begins, lead(5)],
  },
  leads: {
    ...taken,
    here: [duties.leads],
    none: [{ kind: 'seeks', why }, end, wait],
    'a higher epoch': [{ kind: 'seeks' }, end, wait],
  },
  stopped: {},
};

describe.each(Object.keys(duties) as RoleName[])('a host that %s', (name) => {
  test.each(Object.keys(messages) as MessageName[])('and is told: %s', (message) => {
    const expected = table[name][message] ?? [duties[name]];
    expect(dutyMachine(duties[name], messages[message])).toEqual(expected);
  });
});
