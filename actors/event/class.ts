import { defineClass, ro } from '../../src/model/class.ts';
import { datetime, float, int, label, oneOf, record, set, string } from '../../src/model/types.ts';
import { since } from './since.ts';

export const eventOperation = oneOf('event_operation', ['add', 'del', 'mod'], 'exact');

export const event = defineClass('event', {
  doc: 'A change of one object, as told to clients that watch the pool. Events are not stored.',
  since,
  writeRole: 'pool-admin',
  inDatabase: false,
  persist: false,
  listed: false,
  events: false,
  fields: {
    id: ro(int, 'Grows with every event of the pool; it need not be gapless for a client.'),
    timestamp: ro(datetime, 'Not kept: always 0, use the order of events instead.'),
    class: ro(string, 'Class of the changed object, in lower case on the wire.'),
    operation: ro(eventOperation, 'Whether the object appeared, vanished or changed.'),
    ref: ro(string, 'Opaque reference of the changed object.'),
    obj_uuid: ro(label, 'Not sent; read the uuid in the snapshot.'),
  },
  messages: {
    register: {
      doc: 'Subscribe this session to classes, for `event.next`. Prefer `event.from`.',
      role: 'read-only',
      params: { classes: [set(string), 'Class names, `*` for all, or `class/reference` for one object.'] },
      async: true,
    },
    unregister: {
      doc: 'Take classes off the subscription of this session.',
      role: 'read-only',
      params: { classes: [set(string), 'Class names as they were given to `event.register`.'] },
      async: true,
    },
    next: {
      doc: 'Wait for events of the subscribed classes and take them off the queue of this session.',
      role: 'read-only',
      result: set(record('event')),
      errors: ['SESSION_NOT_REGISTERED', 'EVENTS_LOST', 'EVENT_SUBSCRIPTION_PARSE_FAILURE'],
    },
    from: {
      doc: 'Changes since a token, waiting up to a timeout for the first; keeps nothing on the server.',
      role: 'read-only',
      params: {
        classes: [set(string), 'Class names, `*` for all, or `class/reference` for one object.'],
        token: [string, 'Token of the answer before, empty to start with every object there is.'],
        timeout: [float, 'Seconds to wait for something to happen before answering with no events.'],
      },
      result: set(record('event')),
      errors: ['EVENT_FROM_TOKEN_PARSE_FAILURE', 'EVENT_SUBSCRIPTION_PARSE_FAILURE'],
    },
    get_current_id: {
      doc: 'Number of the newest event, a mark to compare later events against.',
      role: 'read-only',
      result: int,
    },
    inject: {
      doc: 'Send a harmless event of an object, to see when all before it have arrived.',
      role: 'read-only',
      params: { class: [string, 'Class of the object.'], ref: [string, 'Reference of the object.'] },
      result: string,
    },
  },
});

declare module '../../src/model/class.ts' {
  interface Classes {
    event: typeof event;
  }
}
