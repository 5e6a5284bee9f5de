import type { ArgsOf } from '../../src/model/class.ts';
import { dateTimeOf, type Ref } from '../../src/model/types.ts';
import { holderOf } from '../../src/objects/holdings.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { blob } from './class.ts';
import { contents } from './contents.ts';

export default implement(
  blob,
  {},
  {
    create: {
      decide: (
        { tx, caller, services }: Deciding,
        { mime_type, public: isPublic }: ArgsOf<typeof blob.messages.create>,
      ) => {
        const ref = newRef<'blob'>(services);
        tx.create('blob', ref, {
          uuid: services.random.uuid(),
          holder: holderOf(tx, caller),
          public: isPublic,
          mime_type: mime_type === '' ? 'application/octet-stream' : mime_type,
          last_updated: dateTimeOf(services.clock.now()),
        });
        return ref;
      },
    },
    destroy: { decide: ({ tx, self }: Deciding) => tx.delete('blob', self as Ref<'blob'>) },
  },
  contents,
);
