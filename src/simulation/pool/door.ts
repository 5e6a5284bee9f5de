import { NetworkFailure } from '../../drivers/network.ts';
import type { PoolDoor, Posted } from '../../drivers/pool-door.ts';
import { joinPaths, type TakingIn } from '../../objects/membership.ts';
import type { Clock } from '../../std/clock.ts';
import type { Life } from '../life.ts';
import type { MemoryMesh } from '../memory-mesh.ts';
import type { SimulatedMachine } from './machine.ts';
import { doorPin, type Process } from './process.ts';

interface Ways {
  readonly clock: Pick<Clock, 'after'>;
  readonly mesh: Pick<MemoryMesh, 'paths'>;
  readonly hosts: readonly {
    readonly name: string;
    readonly machine: SimulatedMachine;
    readonly process: Process | undefined;
  }[];
}

interface Knocker {
  readonly name: string;
  readonly life: Life;
}

/** How a host that joins reaches the HTTPS of a coordinator: by the ways of the mesh, which may be shut. */
export const doorOf = (ways: Ways, from: Knocker): PoolDoor => ({
  open: async (address, timeoutMs) => {
    const to = ways.hosts.find(({ name }) => name === address);
    const answers = (): boolean => to?.process?.takingIn !== undefined;
    await within(from.life, timeoutMs, async () => {
      await travel(ways, from.name, address);
      if (!answers()) throw new NetworkFailure('refused', `Nobody answers at ${address}`);
      await travel(ways, address, from.name);
    });
    if (to === undefined) throw new NetworkFailure('refused', `Nobody answers at ${address}`);
    return {
      fingerprint: doorPin(to.machine),
      local: false,
      post: (path, body, options) =>
        within(from.life, options.timeoutMs, async () => {
          await travel(ways, from.name, address);
          const { process } = to;
          if (process?.takingIn === undefined) throw new NetworkFailure('closed', `${address} is away`);
          const answer = await answered(process.life, () => said(process.takingIn, path, body, options));
          await travel(ways, address, from.name);
          return answer;
        }),
      close: () => {},
    };
  },
});

const said = async (
  takingIn: TakingIn,
  path: string,
  body: Uint8Array,
  { invitation = '' }: { readonly invitation?: string },
): Promise<Posted> => {
  if (path !== joinPaths.takeIn) return { status: 404, body: new Uint8Array() };
  return { status: 200, body: await takingIn.takeIn(invitation, async () => body) };
};

/** Rejects once the host is no more: nothing of it answers then. */
const answered = <T>(life: Life, run: () => Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const forget = life.onEnd(() => reject(new NetworkFailure('closed', 'The other side ended')));
    life.after(0, () => {
      run()
        .then(resolve, reject)
        .finally(() => forget());
    });
  });

const within = <T>(life: Life, timeoutMs: number, run: () => Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const late = (): void => reject(new NetworkFailure('timeout', `No answer within ${timeoutMs} ms`));
    const cancel = life.after(timeoutMs, late);
    run()
      .then(
        (value) => void life.after(0, () => resolve(value)),
        (error: unknown) => void life.after(0, () => reject(error)),
      )
      .finally(cancel);
  });

/** Sent again and again until it gets through. */
const travel = ({ clock, mesh: { paths } }: Ways, from: string, to: string): Promise<void> =>
  new Promise((resolve) => {
    const send = (): void => {
      clock.after(paths.delayMs(from, to), () => {
        if (paths.isOpen(from, to)) resolve();
        else paths.whenOpen(from, to, send);
      });
    };
    send();
  });
