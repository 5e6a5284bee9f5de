import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { holderOf } from '../../src/objects/holdings.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import { secret } from './class.ts';

const create = (
  { tx, caller, services }: Deciding,
  fields: Partial<RecordNamed<'secret'>>,
): Ref<'secret'> => {
  const uuid = fields.uuid ?? services.random.uuid();
  if (tx.byUuid('secret', uuid) !== undefined) {
    throw new Fault('DB_UNIQUENESS_CONSTRAINT_VIOLATION', ['secret', 'uuid', uuid]);
  }
  const ref = newRef<'secret'>(services);
  tx.create('secret', ref, { ...fields, uuid, holder: holderOf(tx, caller) });
  return ref;
};

export default implement(
  secret,
  {},
  {
    create: { decide: create },
    introduce: { decide: create },
    destroy: { decide: ({ tx, self }: Deciding) => tx.delete('secret', self as Ref<'secret'>) },
  },
);
