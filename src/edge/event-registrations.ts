import type { Caller } from '../objects/implement.ts';
import { Fault } from '../std/fault.ts';
import type { Store } from '../store/store.ts';
import type { EventQuestion } from './event-watch.ts';
import type { Mandates } from './mandates.ts';
import { entriesOf, type Subscription, subscriptionOf } from './subscriptions.ts';

/** A session that listens by `event.next`. Its queue is the change feed of the store. */
export interface Registration {
  subscription: Subscription;
  /** Gives back what the subscription takes. */
  release: () => void;
  /** The generation up to which the session has heard. */
  position: number;
}

export interface Registrations {
  /** Throws SESSION_NOT_REGISTERED. */
  registered(caller: Caller): Registration;
  register(caller: Caller, classes: readonly string[], asked: EventQuestion): void;
  unregister(caller: Caller, classes: readonly string[]): void;
}

/** Who listens by `event.next`, until the session ends. `hold` counts what a subscription takes. */
export const registrationsOf = (
  {
    store,
    mandates,
  }: { readonly store: Pick<Store, 'committed' | 'generation'>; readonly mandates: Mandates },
  hold: (caller: Caller, subscription: Subscription) => () => void,
): Registrations => {
  const registrations = new Map<string, Registration>();

  const registered = ({ session }: Caller): Registration => {
    const known = registrations.get(session);
    if (known !== undefined) return known;
    // The reference is a secret, which an error must not repeat.
    throw new Fault('SESSION_NOT_REGISTERED', [store.committed.get('session', session)?.uuid ?? '']);
  };

  const register = (caller: Caller, classes: readonly string[], { check }: EventQuestion): void => {
    const { session } = caller;
    const known = registrations.get(session);
    const before = known === undefined ? [] : entriesOf(known.subscription);
    const subscription = subscriptionOf([...before, ...classes]);
    const release = hold(caller, subscription);
    if (known !== undefined) {
      known.release();
      Object.assign(known, { subscription, release });
      return;
    }
    const registration = { subscription, release, position: store.generation };
    registrations.set(session, registration);
    const withdrawn = (): void => {
      registration.release();
      registrations.delete(session);
    };
    mandates.give(session, { check, withdrawn });
  };

  const unregister = (caller: Caller, classes: readonly string[]): void => {
    const known = registered(caller);
    const gone = new Set(entriesOf(subscriptionOf(classes)));
    known.subscription = subscriptionOf(entriesOf(known.subscription).filter((entry) => !gone.has(entry)));
  };

  return { registered, register, unregister };
};
