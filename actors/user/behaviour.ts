import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { Fault } from '../../src/std/fault.ts';
import { user } from './class.ts';

export const usersMax = 1_000;

export default implement(
  user,
  {},
  {
    // A row alone: who may log in is up to the host's own list of passwords.
    create: {
      decide: ({ tx, services }: Deciding, fields: Partial<RecordNamed<'user'>>) => {
        if ([...tx.all('user')].length >= usersMax) {
          throw new Fault('OPERATION_NOT_ALLOWED', [`There can be no more than ${usersMax} users`]);
        }
        const ref = newRef<'user'>(services);
        tx.create('user', ref, { ...fields, uuid: services.random.uuid() });
        return ref;
      },
    },
    destroy: {
      decide: ({ tx, self }: Deciding) => {
        const ref = self as Ref<'user'>;
        if (tx.require('user', ref).short_name === 'root') {
          throw new Fault('OPERATION_NOT_ALLOWED', ['The account root cannot be removed']);
        }
        tx.delete('user', ref);
      },
    },
  },
);
