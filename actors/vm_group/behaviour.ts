import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { VM_group } from './class.ts';

export default implement(
  VM_group,
  {},
  {
    create: {
      decide: ({ tx, services }: Deciding, fields: Partial<RecordNamed<'VM_group'>>) => {
        const ref = newRef<'VM_group'>(services);
        tx.create('VM_group', ref, { ...fields, uuid: services.random.uuid() });
        return ref;
      },
    },
    // Its VMs are in none then, which the relation sees to.
    destroy: { decide: ({ tx, self }: Deciding) => tx.delete('VM_group', self as Ref<'VM_group'>) },
  },
);
