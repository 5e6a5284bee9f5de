import type { IncomingMessage } from 'node:http';
import { NetworkFailure } from '../network.ts';

/**
 * A whole body. Rejects with `too-large`, or with the error that ended it early; the connection is the
 * caller's to end.
 */
export const wholeBody = (message: IncomingMessage, bytesMax: number): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let sizeBytes = 0;
    const take = (chunk: Buffer): void => {
      sizeBytes += chunk.length;
      if (sizeBytes <= bytesMax) return void chunks.push(chunk);
      message.off('data', take);
      reject(new NetworkFailure('too-large', `A body is over the limit of ${bytesMax} bytes`));
    };
    message.on('data', take);
    message.once('end', () => resolve(Buffer.concat(chunks, sizeBytes)));
    message.once('error', reject);
    message.once('close', () => {
      // After its end every body closes too, and an error with its stack is dearer than all else here.
      if (!message.readableEnded) reject(new NetworkFailure('closed', 'A body ended early'));
    });
  });
