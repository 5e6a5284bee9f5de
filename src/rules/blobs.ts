import { dateTimeOf, type Ref } from '../model/types.ts';
import { holderOf } from '../objects/holdings.ts';
import type { Deciding } from '../objects/implement.ts';
import { newRef } from '../objects/tasks.ts';
import { Fault } from '../std/fault.ts';

/** Classes whose objects have binary attachments by name. */
type Attaching = 'VM' | 'SR' | 'network' | 'pool' | 'host';

interface BlobArgs {
  readonly name: string;
  readonly mime_type: string;
  readonly public: boolean;
}

/** How an empty attachment is made. Throws MAP_DUPLICATE_KEY where the object has one of the name. */
export const newBlob = (cls: Attaching) => ({
  decide: ({ tx, self, caller, services }: Deciding, args: BlobArgs): Ref<'blob'> => {
    const object = self as Ref<any>;
    const { blobs } = tx.require(cls, object);
    if (blobs.has(args.name)) throw new Fault('MAP_DUPLICATE_KEY', [cls, 'blobs', self, args.name]);
    const ref = newRef<'blob'>(services);
    tx.create('blob', ref, {
      uuid: services.random.uuid(),
      holder: holderOf(tx, caller),
      name_label: args.name,
      public: args.public,
      mime_type: args.mime_type === '' ? 'application/octet-stream' : args.mime_type,
      last_updated: dateTimeOf(services.clock.now()),
    });
    tx.patch(cls, object, { blobs: new Map([...blobs, [args.name, ref]]) } as never);
    return ref;
  },
});
