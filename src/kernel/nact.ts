import * as nact from 'nact';
import type { StateMachine } from './machine.ts';

/** A running actor. Typed, unlike the library's own reference, and with a mailbox that has an end. */
export interface Local<M> {
  /** False: the mailbox is full and the message was not taken. */
  tell(message: M): boolean;
  /** Messages told and not yet handled. */
  readonly pending: number;
  stop(): void;
}

export interface ActorSystem {
  /** A group of actors that are stopped together. It takes no messages, so many children cost it nothing. */
  group(name: string): ActorGroup;
  /** Tells of every message that is handled from now on; undefined: of none, which costs nothing. */
  observe(observer: Observer | undefined): void;
  stop(): void;
}

/** Told after each message, in the turn of the actor. */
export interface Observer {
  readonly nowMs: () => number;
  readonly handled: (actor: string, message: unknown, tookMs: number) => void;
}

/** Where the actors of a system look whether somebody observes them. */
interface Observed {
  observer: Observer | undefined;
}

export interface ActorGroup {
  spawn<S, M, Fx>(actor: ActorSpec<S, M, Fx>): Local<M>;
}

export interface ActorSpec<S, M, Fx> {
  readonly name: string;
  /** What observers know it by, where that is not its name. */
  readonly label?: string;
  readonly initial: S;
  readonly machine: StateMachine<S, M, Fx>;
  /** Does one effect. What it answers is told to the actor itself, ahead of everything that waits. */
  readonly perform: (effect: Fx) => M | undefined;
  /** After each message, when its effects are done. */
  readonly rested?: (state: S) => void;
  /** A bug in the machine or in an effect: the message is dropped, the state stays as it was. */
  readonly onBug: (error: unknown, message: M) => void;
  readonly mailboxMax?: number;
}

export const mailboxMax = 10_000;

let incarnations = 0;

export const actorSystem = (name: string): ActorSystem => {
  incarnations += 1;
  // A name is never used twice: the library would run two handlers at once in the reborn actor.
  const system = nact.start({ name: `${name}-${incarnations}` } as never);
  const observed: Observed = { observer: undefined };
  return {
    group: (groupName) =>
      group(
        nact.spawnStateless(system, () => {}, groupName),
        observed,
      ),
    observe: (observer) => {
      observed.observer = observer;
    },
    stop: () => nact.stop(system),
  };
};

const group = (parent: nact.Ref<unknown>, observed: Observed): ActorGroup => ({
  spawn: (spec) => {
    incarnations += 1;
    return local(parent, `${spec.name}-${incarnations}`, spec, observed);
  },
});

const local = <S, M, Fx>(
  parent: nact.Ref<unknown>,
  name: string,
  spec: ActorSpec<S, M, Fx>,
  observed: Observed,
): Local<M> => {
  let pending = 0;

  const turn = (state: S, message: M): S => {
    let current = state;
    const inbox: M[] = [message];
    for (let next = inbox.shift(); next !== undefined; next = inbox.shift()) {
      const [after, ...effects] = spec.machine(current, next);
      current = after;
      for (const effect of effects) {
        const followUp = spec.perform(effect);
        if (followUp !== undefined) inbox.push(followUp);
      }
    }
    return current;
  };

  const reference = nact.spawn(
    parent as never,
    (state: S, message: { readonly told: M }) => {
      pending -= 1;
      let next = state;
      const { observer } = observed;
      const startMs = observer?.nowMs();
      try {
        next = turn(state, message.told);
      } catch (error) {
        spec.onBug(error, message.told);
      }
      if (startMs !== undefined)
        observer?.handled(spec.label ?? spec.name, message.told, observer.nowMs() - startMs);
      spec.rested?.(next);
      return next;
    },
    name,
    { initialState: spec.initial } as never,
  );

  return {
    tell: (message) => {
      if (pending >= (spec.mailboxMax ?? mailboxMax)) return false;
      pending += 1;
      nact.dispatch(reference as never, { told: message } as never);
      return true;
    },
    get pending() {
      return pending;
    },
    stop: () => nact.stop(reference as never),
  };
};
