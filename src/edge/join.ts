import { joinPath, type Membership } from '../objects/membership.ts';
import type { RequestRoute } from './route.ts';

export const joinBytesMax = 256 * 1_048_576;

/** Where a host that joins the pool hands over what it has. What it sends is the membership's to read. */
export const joinRoute = (membership: Pick<Membership, 'takeIn'>): RequestRoute => ({
  method: 'POST',
  path: joinPath,
  action: 'post_join',
  handle: async (request, answer) => {
    const taken = await membership.takeIn(() => request.bytes(joinBytesMax));
    answer.send(200, { 'Content-Type': 'application/octet-stream' }, [Buffer.from(taken)]);
  },
});
