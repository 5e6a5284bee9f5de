import { joinPath, type Membership } from '../objects/membership.ts';
import { Fault } from '../std/fault.ts';
import type { RequestRoute } from './route.ts';

export const joinBytesMax = 256 * 1_048_576;

/** Where a host that joins the pool hands over what it has. What it sends is the membership's to read. */
export const joinRoute = (membership: Pick<Membership, 'takeIn'>): RequestRoute => ({
  method: 'POST',
  path: joinPath,
  handle: async (request, answer, context) => {
    const taken = await membership.takeIn(async () => {
      const { role } = await context.caller();
      if (role !== 'pool-admin' && role !== 'pool-operator' && role !== '_local_root_') {
        throw new Fault('RBAC_PERMISSION_DENIED', [
          'pool.join',
          'Adding a host takes the role pool-operator',
        ]);
      }
      return request.bytes(joinBytesMax);
    });
    answer.send(200, { 'Content-Type': 'application/octet-stream' }, [Buffer.from(taken)]);
  },
});
