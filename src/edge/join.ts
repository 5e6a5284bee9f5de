import type { HttpAnswer } from '../drivers/http/http.ts';
import { joinPaths, type TakingIn } from '../objects/membership.ts';
import type { RequestRoute } from './route.ts';

export const joinBytesMax = 256 * 1_048_576;
const joinMsMax = 600_000;
/** Of what a host says before it has been asked to come. */
export const proofBytesMax = 4_096;

const proof = { bytesMax: proofBytesMax, withinMs: 30_000 } as const;
const bearer = /^Bearer +([A-Za-z0-9_-]{1,128}) *$/i;

/**
 * Where hosts that join prove that they may, and hand over what they have. What they send is the pool's to
 * read.
 */
export const joinRoutes = (takingIn: TakingIn): readonly RequestRoute[] => {
  const send = (answer: HttpAnswer, bytes: Uint8Array): void =>
    answer.send(200, { 'Content-Type': 'application/octet-stream' }, [Buffer.from(bytes)]);
  return [
    {
      method: 'POST',
      path: joinPaths.hello,
      action: 'open',
      handle: async (request, answer) => send(answer, await takingIn.hello(await request.bytes(proof))),
    },
    {
      method: 'POST',
      path: joinPaths.prove,
      action: 'open',
      handle: async (request, answer) =>
        send(answer, await takingIn.prove(await request.bytes(proof), request.remoteAddress)),
    },
    {
      method: 'POST',
      path: joinPaths.takeIn,
      action: 'open',
      handle: async (request, answer) => {
        const invitation = bearer.exec(request.headers['authorization'] ?? '')?.[1] ?? '';
        send(
          answer,
          await takingIn.takeIn(invitation, () =>
            request.bytes({ bytesMax: joinBytesMax, withinMs: joinMsMax }),
          ),
        );
      },
    },
    {
      method: 'POST',
      path: joinPaths.token,
      action: 'post_join_token',
      handle: async (_, answer) =>
        answer.send(200, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' }, [
          `${takingIn.token()}\n`,
        ]),
    },
  ];
};
