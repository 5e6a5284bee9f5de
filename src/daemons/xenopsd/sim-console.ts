import type { Duplex } from 'node:stream';
import type { Network, Serving } from '../../drivers/network.ts';

/** One more is cut at once. */
const CONNECTIONS_MAX = 4;

/** A text console that says whose it is and sends back what is typed. */
export const simConsole = (network: Network, path: string, name: string): Promise<Serving> =>
  network.listen(
    { socketPath: path },
    (stream: Duplex) => {
      stream.on('error', () => stream.destroy());
      stream.write(`simulated guest ${name}\r\n`);
      stream.pipe(stream);
    },
    { connectionsMax: CONNECTIONS_MAX },
  );
