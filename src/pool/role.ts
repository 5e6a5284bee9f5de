import type { StateMachine, Step } from '../kernel/machine.ts';
import type { Ref } from '../model/types.ts';
import type { Fault } from '../std/fault.ts';
import type { Leader, Leadership } from '../store/log.ts';

// Which part a host plays in its pool. The log says who leads; this is what follows from it.
//
//              told none         told other          told here
//   starts ──────────► seeks ◄──────────► follows ◄──────────► leads
//                        ▲                                       │
//                        └───────── a higher epoch heard ────────┘
//   stopped: from each of them, and for good.

export type Role =
  | { readonly kind: 'starts' }
  /** Nobody is known to lead. `last`: whom it followed. */
  | { readonly kind: 'seeks'; readonly last?: Ref<'host'>; readonly why?: Fault }
  /** `synced`: it has had all that the leader had when it began to follow. */
  | {
      readonly kind: 'follows';
      readonly leader: Ref<'host'>;
      readonly epoch: number;
      readonly synced: boolean;
    }
  /** `ready`: that is on its disk, so that it decides. */
  | { readonly kind: 'leads'; readonly epoch: number; readonly ready: boolean }
  | { readonly kind: 'stopped' };

export type RoleMessage =
  /** The log says who leads. */
  | { readonly kind: 'told'; readonly leadership: Leadership }
  /** A host of the pool spoke of an epoch. */
  | { readonly kind: 'heard'; readonly epoch: number }
  /** What was begun for an epoch has come to its end, or failed. */
  | { readonly kind: 'synced' | 'began' | 'failed'; readonly epoch: number }
  /** What failed is to be tried again. */
  | { readonly kind: 'again'; readonly epoch: number }
  | { readonly kind: 'stop' };

export type RoleEffect =
  /** Ends what runs for the part so far. */
  | { readonly do: 'end' }
  /** Commits of this host wait for a leader. */
  | { readonly do: 'wait' }
  | ({ readonly do: 'follow' } & Leader)
  | { readonly do: 'lead'; readonly epoch: number }
  /** It follows, or leads: what goes with that begins. */
  | ({ readonly do: 'noteLeader' } & Leader)
  | { readonly do: 'beginLeading' }
  | { readonly do: 'retry'; readonly epoch: number };

type Next = Step<Role, RoleEffect>;
type Told<K> = Extract<RoleMessage, { readonly kind: K }>;
type Rules<R> = {
  readonly [K in RoleMessage['kind']]: (role: R, message: Told<K>) => Next;
};

const stays = (role: Role): Next => [role];
const stops = (): Next => [{ kind: 'stopped' }, { do: 'end' }];

const seeks = (why: Fault | undefined, last?: Ref<'host'>): Role => ({
  kind: 'seeks',
  ...(last !== undefined && { last }),
  ...(why !== undefined && { why }),
});

/** Takes up the part that the log gives. */
const takes = (leadership: Leadership, last?: Ref<'host'>): Next => {
  if (leadership.kind === 'none') return [seeks(leadership.why, last), { do: 'end' }, { do: 'wait' }];
  const { epoch } = leadership;
  if (leadership.kind === 'here') {
    return [{ kind: 'leads', epoch, ready: false }, { do: 'end' }, { do: 'lead', epoch }];
  }
  const { host } = leadership;
  return [
    { kind: 'follows', leader: host, epoch, synced: false },
    { do: 'end' },
    { do: 'follow', host, epoch },
  ];
};

const starts: Rules<Extract<Role, { kind: 'starts' }>> = {
  told: (_, { leadership }) => takes(leadership),
  heard: stays,
  synced: stays,
  began: stays,
  failed: stays,
  again: stays,
  stop: stops,
};

const seeking: Rules<Extract<Role, { kind: 'seeks' }>> = {
  told: ({ last }, { leadership }) =>
    leadership.kind === 'none' ? [seeks(leadership.why, last)] : takes(leadership),
  heard: stays,
  synced: stays,
  began: stays,
  failed: stays,
  again: stays,
  stop: stops,
};

type Follows = Extract<Role, { kind: 'follows' }>;

const following: Rules<Follows> = {
  told: (role, { leadership }) => {
    const { leader, epoch } = role;
    const same = leadership.kind === 'other' && leadership.host === leader && leadership.epoch === epoch;
    return same ? [role] : takes(leadership, leader);
  },
  // Whether the leader has been replaced is for the log to say.
  heard: stays,
  synced: (role, { epoch }) =>
    epoch !== role.epoch || role.synced
      ? [role]
      : [
          { ...role, synced: true },
          { do: 'noteLeader', host: role.leader, epoch },
        ],
  began: stays,
  failed: (role, { epoch }) =>
    epoch === role.epoch
      ? [
          { ...role, synced: false },
          { do: 'retry', epoch },
        ]
      : [role],
  again: (role, { epoch }) =>
    epoch === role.epoch && !role.synced ? [role, { do: 'follow', host: role.leader, epoch }] : [role],
  stop: stops,
};

const leading: Rules<Extract<Role, { kind: 'leads' }>> = {
  told: (role, { leadership }) =>
    leadership.kind === 'here' && leadership.epoch === role.epoch ? [role] : takes(leadership),
  // Whoever has a higher epoch may lead by it already: nothing is decided here any more.
  heard: (role, { epoch }) =>
    epoch > role.epoch ? [seeks(undefined), { do: 'end' }, { do: 'wait' }] : [role],
  synced: stays,
  began: (role, { epoch }) =>
    epoch !== role.epoch || role.ready ? [role] : [{ ...role, ready: true }, { do: 'beginLeading' }],
  failed: (role, { epoch }) =>
    epoch === role.epoch && !role.ready ? [role, { do: 'retry', epoch }] : [role],
  again: (role, { epoch }) => (epoch === role.epoch && !role.ready ? [role, { do: 'lead', epoch }] : [role]),
  stop: stops,
};

const stopped: Rules<Extract<Role, { kind: 'stopped' }>> = {
  told: stays,
  heard: stays,
  synced: stays,
  began: stays,
  failed: stays,
  again: stays,
  stop: stays,
};

/** Every part by every message. */
const table: { readonly [K in Role['kind']]: Rules<Extract<Role, { kind: K }>> } = {
  starts,
  seeks: seeking,
  follows: following,
  leads: leading,
  stopped,
};

/** The table's rows and columns agree with the kinds of role and message by their types. */
export const roleMachine: StateMachine<Role, RoleMessage, RoleEffect> = (role, message) => {
  const rule = table[role.kind][message.kind] as (role: Role, message: RoleMessage) => Next;
  return rule(role, message);
};
