import type { RecordNamed } from '../model/class.ts';
import { dateTimeOf, millisecondsOf, type Ref } from '../model/types.ts';
import type { Tx } from '../store/view.ts';
import type { Services } from './services.ts';
import { newRef } from './tasks.ts';

/** At the limit the oldest message goes as a new one comes. */
export const messagesMax = 10_000;

type Fields = Pick<RecordNamed<'message'>, 'name' | 'priority' | 'cls' | 'obj_uuid' | 'body'>;

/** Leaves a message for people. */
export const leaveMessage = (tx: Tx, services: Services, fields: Fields): Ref<'message'> => {
  // Far from the limit nobody looks through all of them.
  const known = services.store.tables.get('message')?.count ?? 0;
  if (known >= messagesMax - uncountedMax) makeRoom(tx);
  const ref = newRef<'message'>(services);
  tx.create('message', ref, {
    ...fields,
    uuid: services.random.uuid(),
    timestamp: dateTimeOf(services.clock.now()),
  });
  return ref;
};

/** Messages that commits on their way may bring, which are not counted yet. */
const uncountedMax = 64;

const makeRoom = (tx: Tx): void => {
  const all = [...tx.all('message')];
  if (all.length < messagesMax) return;
  const [oldest] = all.reduce((a, b) =>
    millisecondsOf(b[1].timestamp) < millisecondsOf(a[1].timestamp) ? b : a,
  );
  tx.delete('message', oldest);
};
