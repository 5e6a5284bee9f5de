import type { ClassName, RecordNamed } from '../../src/model/class.ts';
import { datetime, millisecondsOf, type Ref } from '../../src/model/types.ts';
import { holderOf } from '../../src/objects/holdings.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { parseWhere } from '../../src/objects/where.ts';
import { leaveMessage } from '../../src/rules/messages.ts';
import { Fault } from '../../src/std/fault.ts';
import { inSlices } from '../../src/std/pace.ts';
import type { View } from '../../src/store/view.ts';
import { message } from './class.ts';

type Message = RecordNamed<'message'>;
type Messages = ReadonlyMap<Ref<'message'>, Message>;

/** Classes that messages can be about, by what they are called there. */
const aboutClass: Readonly<Partial<Record<Message['cls'], ClassName>>> = {
  VM: 'VM',
  Host: 'host',
  SR: 'SR',
  Pool: 'pool',
  VDI: 'VDI',
};

const selected = (view: View, wanted: (record: Message) => boolean): Messages =>
  new Map([...view.all('message')].filter(([, record]) => wanted(record)));

const create = (
  { tx, caller, services }: Deciding,
  fields: Pick<Message, 'name' | 'priority' | 'cls' | 'obj_uuid' | 'body'>,
): Ref<'message'> => {
  const about = aboutClass[fields.cls];
  if (about === undefined || tx.byUuid(about, fields.obj_uuid) === undefined) {
    throw new Fault('UUID_INVALID', [fields.cls, fields.obj_uuid]);
  }
  return leaveMessage(tx, services, fields, holderOf(tx, caller));
};

/** Of messages a field that there is not is no error, unlike of other classes: it is equal to nothing. */
const meets = (expr: string): ((record: Message) => boolean) => {
  const test = parseWhere(expr);
  return (record) => {
    try {
      return test(record);
    } catch (error) {
      if (error instanceof Fault && error.code === 'INVALID_VALUE') return false;
      throw error;
    }
  };
};

/** What each filter of `destroy_all` leaves of the messages. */
const filterOf = (key: string, value: string): ((record: Message) => boolean) => {
  if (key === 'priority' && /^-?\d{1,18}$/.test(value)) {
    return ({ priority }) => priority === BigInt(value);
  }
  const at = key === 'after' || key === 'before' ? timeOf(value) : Number.NaN;
  if (Number.isNaN(at)) throw new Fault('INVALID_VALUE', [key, value]);
  return ({ timestamp }) =>
    key === 'after' ? millisecondsOf(timestamp) > at : millisecondsOf(timestamp) < at;
};

const timeOf = (value: string): number => {
  try {
    return millisecondsOf(datetime.read(value, ''));
  } catch {
    return Number.NaN;
  }
};

export default implement(
  message,
  {},
  {
    create: { decide: create },
    destroy: { decide: ({ tx, self }) => tx.delete('message', self as Ref<'message'>) },
    destroy_many: {
      decide: ({ tx }, { messages }) => {
        for (const ref of messages) {
          tx.require('message', ref);
          tx.delete('message', ref);
        }
      },
    },
    destroy_all: {
      decide: ({ tx }, { filters }) => {
        const tests = [...filters].map(([key, value]) => filterOf(key, value));
        const gone = selected(tx, (record) => tests.every((test) => test(record)));
        for (const ref of gone.keys()) tx.delete('message', ref);
      },
    },
    get: {
      read: ({ view }, { cls, obj_uuid, since }) => {
        const after = millisecondsOf(since);
        return selected(
          view,
          (record) =>
            record.cls === cls && record.obj_uuid === obj_uuid && millisecondsOf(record.timestamp) > after,
        ) as never;
      },
    },
    get_since: {
      read: ({ view }, { since }) => {
        const after = millisecondsOf(since);
        return selected(view, ({ timestamp }) => millisecondsOf(timestamp) > after) as never;
      },
    },
    get_all: { read: ({ view }) => [...view.all('message')].map(([ref]) => ref) },
    get_record: {
      read: ({ view, self }) => view.require('message', self as Ref<'message'>) as never,
    },
    get_by_uuid: {
      read: ({ view }, { uuid }) => {
        const found = view.byUuid('message', uuid);
        if (found === undefined) throw new Fault('UUID_INVALID', ['message', uuid]);
        return found;
      },
    },
    get_all_records: { read: ({ view }) => selected(view, () => true) as never },
    get_all_records_where: {
      read: async ({ view, services }, { expr }) => {
        const meeting = new Map<Ref<'message'>, Message>();
        const passes = meets(expr);
        await inSlices(services.clock, [...view.all('message')], ([ref, record]) => {
          if (passes(record)) meeting.set(ref, record);
        });
        return meeting as never;
      },
    },
  },
);
