import type { RecordNamed } from '../model/class.ts';
import { dateTimeOf, millisecondsOf, type Ref } from '../model/types.ts';
import { rowsHeld } from '../objects/holdings.ts';
import type { Services } from '../objects/services.ts';
import { newRef } from '../objects/tasks.ts';
import type { Tx } from '../store/view.ts';
import { type AlertName, urgencies } from './alerts.ts';

/** At the limit the oldest message goes as a new one comes. */
export const messagesMax = 10_000;

/** Of them, those that one user made; his oldest goes then. */
export const messagesOfUserMax = 2_000;

type Message = RecordNamed<'message'>;
type Fields = Pick<Message, 'name' | 'priority' | 'cls' | 'obj_uuid' | 'body'>;

/** Leaves a message for people; without a `holder` it is Xenact's own. */
export const leaveMessage = (tx: Tx, services: Services, fields: Fields, holder = ''): Ref<'message'> => {
  if (holder !== '') keepWithin(tx, rowsHeld(tx, 'message', holder), messagesOfUserMax);
  // Far from the limit nobody looks through all of them.
  const known = services.store.tables.get('message')?.count ?? 0;
  if (known >= messagesMax - uncountedMax) keepWithin(tx, [...tx.all('message')], messagesMax);
  const ref = newRef<'message'>(services);
  tx.create('message', ref, {
    ...fields,
    holder,
    uuid: services.random.uuid(),
    timestamp: dateTimeOf(services.clock.now()),
  });
  return ref;
};

/** Leaves a message of Xenact's own, as urgent as the XenAPI has it under this name. */
export const leaveAlert = (
  tx: Tx,
  services: Services,
  alert: Omit<Fields, 'name' | 'priority'> & { readonly name: AlertName },
): Ref<'message'> => leaveMessage(tx, services, { ...alert, priority: BigInt(urgencies[alert.name]) });

/** Messages that commits on their way may bring, which are not counted yet. */
const uncountedMax = 64;

const keepWithin = (tx: Tx, all: readonly (readonly [Ref<'message'>, Message])[], max: number): void => {
  if (all.length < max) return;
  const [oldest] = all.reduce((a, b) =>
    millisecondsOf(b[1].timestamp) < millisecondsOf(a[1].timestamp) ? b : a,
  );
  tx.delete('message', oldest);
};
