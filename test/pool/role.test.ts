// Goal: which part a host plays follows from what it is told, in every part and for every message, and from nothing else.
// Method: the machine alone: each of its parts is given each message, and what comes out is compared with a table.
import { describe, expect, test } from 'vitest';
import type { Ref } from '../../src/model/types.ts';
import { type Role, type RoleEffect, type RoleMessage, roleMachine } from '../../src/pool/role.ts';
import { Fault } from '../../src/std/fault.ts';

const [a, b] = ['OpaqueRef:a', 'OpaqueRef:b'] as [Ref<'host'>, Ref<'host'>];
const why = new Fault('HOST_STILL_BOOTING', ['nobody answers']);

const roles = {
  starts: { kind: 'starts' },
  seeks: { kind: 'seeks', last: a },
  catchesUp: { kind: 'follows', leader: a, epoch: 5, synced: false },
  follows: { kind: 'follows', leader: a, epoch: 5, synced: true },
  begins: { kind: 'leads', epoch: 5, ready: false },
  leads: { kind: 'leads', epoch: 5, ready: true },
  stopped: { kind: 'stopped' },
} as const satisfies Record<string, Role>;

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
} as const satisfies Record<string, RoleMessage>;

type RoleName = keyof typeof roles;
type MessageName = keyof typeof messages;
type Expected = readonly [next: Role, ...effects: RoleEffect[]];

const end = { do: 'end' } as const;
const wait = { do: 'wait' } as const;
const follow = (host: Ref<'host'>, epoch: number): RoleEffect => ({ do: 'follow', host, epoch });
const lead = (epoch: number): RoleEffect => ({ do: 'lead', epoch });
const following = (leader: Ref<'host'>, epoch: number): Role => ({
  kind: 'follows',
  leader,
  epoch,
  synced: false,
});
const begins = (epoch: number): Role => ({ kind: 'leads', epoch, ready: false });

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
    'other, the same': [roles.catchesUp],
    none: [{ kind: 'seeks', last: a, why }, end, wait],
    synced: [roles.follows, { do: 'noteLeader', host: a, epoch: 5 }],
    failed: [roles.catchesUp, { do: 'retry', epoch: 5 }],
    again: [roles.catchesUp, follow(a, 5)],
  },
  follows: {
    ...taken,
    'other, the same': [roles.follows],
    none: [{ kind: 'seeks', last: a, why }, end, wait],
    failed: [roles.catchesUp, { do: 'retry', epoch: 5 }],
  },
  begins: {
    ...taken,
    here: [roles.begins],
    none: [{ kind: 'seeks', why }, end, wait],
    'a higher epoch': [{ kind: 'seeks' }, end, wait],
    began: [roles.leads, { do: 'beginLeading' }],
    failed: [roles.begins, { do: 'retry', epoch: 5 }],
    again: [roles.begins, lead(5)],
  },
  leads: {
    ...taken,
    here: [roles.leads],
    none: [{ kind: 'seeks', why }, end, wait],
    'a higher epoch': [{ kind: 'seeks' }, end, wait],
  },
  stopped: {},
};

describe.each(Object.keys(roles) as RoleName[])('a host that %s', (name) => {
  test.each(Object.keys(messages) as MessageName[])('and is told: %s', (message) => {
    const expected = table[name][message] ?? [roles[name]];
    expect(roleMachine(roles[name], messages[message])).toEqual(expected);
  });
});
