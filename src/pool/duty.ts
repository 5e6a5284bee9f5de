import type { StateMachine, Step } from '../kernel/machine.ts';
import type { Ref } from '../model/types.ts';
import type { Fault } from '../std/fault.ts';
import type { Leader, Leadership } from '../store/log.ts';

// Which duty a host has in its pool. The log says who leads; this is what follows from it.
//
//              told none         told other          told here
//   starts ──────────► seeks ◄──────────► follows ◄──────────► leads
//                        ▲                                       │
//                        └───────── a higher epoch heard ────────┘
//   stopped: from each of them, and for good.

export type Duty =
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
  /** `ready`: the epoch is on its disk, and it decides commits. */
  | { readonly kind: 'leads'; readonly epoch: number; readonly ready: boolean }
  | { readonly kind: 'stopped' };

export type DutyMessage =
  /** The log says who leads. */
  | { readonly kind: 'told'; readonly leadership: Leadership }
  /** Another host of the pool sent something under this epoch. */
  | { readonly kind: 'heard'; readonly epoch: number }
  /** What was begun for an epoch has come to its end, or failed. */
  | { readonly kind: 'synced' | 'began' | 'failed'; readonly epoch: number }
  /** What failed is to be tried again. */
  | { readonly kind: 'again'; readonly epoch: number }
  | { readonly kind: 'stop' };

export type DutyEffect =
  /** Stops everything that was begun for the duty before. */
  | { readonly do: 'end' }
  /** Commits of this host wait for a leader. */
  | { readonly do: 'wait' }
  | ({ readonly do: 'follow' } & Leader)
  | { readonly do: 'lead'; readonly epoch: number }
  /** This host follows, or leads, from now on: begin what belongs to that. */
  | ({ readonly do: 'noteLeader' } & Leader)
  | { readonly do: 'beginLeading' }
  | { readonly do: 'retry'; readonly epoch: number };

type Next = Step<Duty, DutyEffect>;
type MessageOf<K> = Extract<DutyMessage, { readonly kind: K }>;
type Rules<R> = {
  readonly [K in DutyMessage['kind']]: (duty: R, message: MessageOf<K>) => Next;
};

const stays = (duty: Duty): Next => [duty];
const stops = (): Next => [{ kind: 'stopped' }, { do: 'end' }];

const seeks = (why: Fault | undefined, last?: Ref<'host'>): Duty => ({
  kind: 'seeks',
  ...(last !== undefined && { last }),
  ...(why !== undefined && { why }),
});

/** Takes up the duty that the log gives. */
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

/** What a host hears that has begun nothing. */
const begunNothing = { heard: stays, synced: stays, began: stays, failed: stays, again: stays } as const;

const starts: Rules<Extract<Duty, { kind: 'starts' }>> = {
  told: (_, { leadership }) => takes(leadership),
  ...begunNothing,
  stop: stops,
};

const seeking: Rules<Extract<Duty, { kind: 'seeks' }>> = {
  told: ({ last }, { leadership }) =>
    leadership.kind === 'none' ? [seeks(leadership.why, last)] : takes(leadership),
  ...begunNothing,
  stop: stops,
};

type Follows = Extract<Duty, { kind: 'follows' }>;

const following: Rules<Follows> = {
  told: (duty, { leadership }) => {
    const { leader, epoch } = duty;
    const same = leadership.kind === 'other' && leadership.host === leader && leadership.epoch === epoch;
    return same ? [duty] : takes(leadership, leader);
  },
  // Whether the leader has been replaced is for the log to say.
  heard: stays,
  synced: (duty, { epoch }) =>
    epoch !== duty.epoch || duty.synced
      ? [duty]
      : [
          { ...duty, synced: true },
          { do: 'noteLeader', host: duty.leader, epoch },
        ],
  began: stays,
  failed: (duty, { epoch }) =>
    epoch === duty.epoch
      ? [
          { ...duty, synced: false },
          { do: 'retry', epoch },
        ]
      : [duty],
  again: (duty, { epoch }) =>
    epoch === duty.epoch && !duty.synced ? [duty, { do: 'follow', host: duty.leader, epoch }] : [duty],
  stop: stops,
};

const leading: Rules<Extract<Duty, { kind: 'leads' }>> = {
  told: (duty, { leadership }) =>
    leadership.kind === 'here' && leadership.epoch === duty.epoch ? [duty] : takes(leadership),
  // Whoever has a higher epoch may lead by it already: nothing is decided here any more.
  heard: (duty, { epoch }) =>
    epoch > duty.epoch ? [seeks(undefined), { do: 'end' }, { do: 'wait' }] : [duty],
  synced: stays,
  began: (duty, { epoch }) =>
    epoch !== duty.epoch || duty.ready ? [duty] : [{ ...duty, ready: true }, { do: 'beginLeading' }],
  failed: (duty, { epoch }) =>
    epoch === duty.epoch && !duty.ready ? [duty, { do: 'retry', epoch }] : [duty],
  again: (duty, { epoch }) => (epoch === duty.epoch && !duty.ready ? [duty, { do: 'lead', epoch }] : [duty]),
  stop: stops,
};

const stopped: Rules<Extract<Duty, { kind: 'stopped' }>> = {
  told: stays,
  ...begunNothing,
  stop: stays,
};

/** Every duty by every message. */
const table: { readonly [K in Duty['kind']]: Rules<Extract<Duty, { kind: K }>> } = {
  starts,
  seeks: seeking,
  follows: following,
  leads: leading,
  stopped,
};

/** What a host in this duty does about a message. The types see to it that `table` has every pair. */
export const dutyMachine: StateMachine<Duty, DutyMessage, DutyEffect> = (duty, message) => {
  const rule = table[duty.kind][message.kind] as (duty: Duty, message: DutyMessage) => Next;
  return rule(duty, message);
};
