import { figure, inParallel, secondsOf, verdict } from './figures.ts';
import { type Client, openPool } from './pool.ts';
import { sized } from './sizes.ts';
import { createVms } from './vms.ts';

const counts = sized([128, 512, 2_048], [4]);
const clientCount = sized(32, 2);
/** Of the time for each VM: the most VMs beside the fewest. */
const growthMax = 1.3;

/** VMs made, started, paused, ended and destroyed; what each costs must not grow with how many there are. */
export const vmLife = async (print: (line: string) => void): Promise<void> => {
  print(`VMs created, started, paused, shut down and destroyed by ${clientCount} clients on the simulator`);
  const each: number[] = [];
  for (const count of counts) {
    const pool = await openPool();
    try {
      const clients = await Promise.all(Array.from({ length: clientCount }, () => pool.client()));
      const steps = await life(clients, count);
      const total = steps.reduce((sum, [, seconds]) => sum + seconds, 0);
      each.push(total / count);
      print(figure(`${count} VMs, all of it`, [total], 2, ' s'));
      for (const [name, seconds] of steps) print(figure(`  ${name}/s`, [count / seconds]));
    } finally {
      await pool.close();
    }
  }
  const [fewest, most] = [each[0] as number, each.at(-1) as number];
  const name = `time for each VM, of ${counts.at(-1)} beside of ${counts[0]}`;
  print(verdict({ name, values: [most / fewest], atMost: growthMax }));
};

const life = async (
  clients: readonly Client[],
  count: number,
): Promise<readonly (readonly [string, number])[]> => {
  const steps: [string, number][] = [];
  let vms: readonly string[] = [];
  const making = await secondsOf(async () => {
    vms = await createVms(clients, count);
  });
  steps.push(['created', making]);
  const step = async (done: string, method: string, ...args: readonly boolean[]): Promise<void> => {
    const all = (): Promise<void> =>
      inParallel(count, clients.length, (i, worker) =>
        (clients[worker] as Client).call(method, vms[i] as string, ...args),
      );
    steps.push([done, await secondsOf(all)]);
  };
  await step('started', 'VM.start', false, false);
  await step('paused', 'VM.pause');
  await step('shut down', 'VM.hard_shutdown');
  await step('destroyed', 'VM.destroy');
  return steps;
};
