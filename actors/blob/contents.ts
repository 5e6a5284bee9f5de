import { dateTimeOf, nullRef, type Ref } from '../../src/model/types.ts';
import type { Client } from '../../src/objects/client.ts';
import { assertAllowed } from '../../src/objects/holdings.ts';
import type { ActionHandler, Caller, Working } from '../../src/objects/implement.ts';
import { Fault } from '../../src/std/fault.ts';
import { wholeOf } from '../../src/std/whole-bytes.ts';
import type { View } from '../../src/store/view.ts';
import { blob, blobBytesMax } from './class.ts';

// The bytes of a blob are a field of its row that no client sees, so that they are where the pool's rows are.

interface Named {
  readonly ref: string;
  readonly uuid: string;
}
type Blobs = Working<'blob'>;

const blobNamed = (view: View, { ref, uuid }: Named): Ref<'blob'> => {
  const name = ref || uuid;
  if (name === '')
    throw new Fault('INVALID_VALUE', ['uuid', 'Name the blob: ?uuid=<uuid> or ?ref=<reference>']);
  const found =
    view.get('blob', name as Ref<'blob'>) === undefined ? view.byUuid('blob', name) : (name as Ref<'blob'>);
  if (found === undefined) throw new Fault('HANDLE_INVALID', ['blob', name]);
  return found;
};

const on = (named: Named, view: View): Ref => blobNamed(view, named);

/** Whoever came without a session, and not by a socket of the host. */
const isNobody = ({ session, role }: Caller): boolean => session === nullRef && role !== '_local_root_';

const tooLarge = (): Fault =>
  new Fault('INVALID_VALUE', ['body', `A blob holds at most ${blobBytesMax} bytes: put more into a disk`]);

const whole = async ({ sizeBytes = 0n, body }: Client): Promise<Buffer> => {
  if (sizeBytes > BigInt(blobBytesMax)) throw tooLarge();
  return wholeOf(body(), blobBytesMax, tooLarge);
};

export const contents = {
  get_blob: {
    on,
    stream: async ({ view, caller }: Blobs, named: Named, client: Client) => {
      const { public: isPublic, data, mime_type } = view.require('blob', blobNamed(view, named));
      if (!isPublic && isNobody(caller)) throw new Fault('SESSION_INVALID', ['']);
      const bytes = Buffer.from(data, 'base64');
      const sink = client.answer({ type: mime_type, sizeBytes: BigInt(bytes.length) });
      if (bytes.length > 0) await sink.write(bytes);
    },
  } satisfies ActionHandler<'blob', Named>,

  put_blob: {
    on,
    stream: async ({ view, services, settle }: Blobs, named: Named, client: Client) => {
      const self = blobNamed(view, named);
      const bytes = await whole(client);
      settle((tx) => {
        tx.patch('blob', self, {
          data: bytes.toString('base64'),
          size: BigInt(bytes.length),
          last_updated: dateTimeOf(services.clock.now()),
        });
        assertAllowed(tx, blob, self);
      });
    },
  } satisfies ActionHandler<'blob', Named>,
};
