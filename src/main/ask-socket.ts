import { NetworkFailure } from '../drivers/network.ts';
import { jsonIn, membersOf } from '../std/reader.ts';
import { machine } from './machine.ts';
import type { Paths } from './paths.ts';
import { StartFailure } from './start-failure.ts';

const answerBytesMax = 1 << 20;

/**
 * What the host that runs on a data folder answers by the socket in it. Whoever may use the folder may ask,
 * also while the pool has no coordinator. Throws a StartFailure that says what to do.
 */
export const askSocket = async (
  { apiSocket, data }: Pick<Paths, 'apiSocket' | 'data'>,
  path: string,
  question: unknown,
  timeoutMs: number,
): Promise<Readonly<Record<string, unknown>>> => {
  const options = { contentType: 'application/json', timeoutMs, responseMax: answerBytesMax };
  const { status, body } = await machine.network
    .post({ socketPath: apiSocket }, path, JSON.stringify(question), options)
    .catch((error: unknown) => {
      if (!(error instanceof NetworkFailure)) throw error;
      throw new StartFailure(
        `The host of ${data} does not answer (${error.message}). Start it, or name its data folder ` +
          `with --data`,
      );
    });
  if (status === 503) throw new StartFailure(`The host of ${data} is starting; try again in a moment`);
  if (status !== 200) throw new StartFailure(`The host of ${data} answered ${status}; its log may tell more`);
  const answer = membersOf(jsonIn(body));
  if (typeof answer['error'] === 'string') throw new StartFailure(answer['error']);
  return answer;
};
