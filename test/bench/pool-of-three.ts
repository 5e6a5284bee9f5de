import { poolCalls } from './pool-calls.ts';
import { poolLog } from './pool-log.ts';
import { poolVms } from './pool-vms.ts';
import { openThreeHosts } from './three-hosts.ts';

/** Small, so that a pool of small machines has room for all of them when a host is lost. */
const memoryBytes = 4n << 20n;

/** Three hosts in processes of their own: what it costs that they are three, and what they do together. */
export const poolOfThree = async (print: (line: string) => void): Promise<void> => {
  const pool = await openThreeHosts();
  try {
    const client = await pool.hosts[0].client();
    const [template] = (await client.call('VM.get_by_name_label', 'Other install media')) as string[];
    /** A VM without disks. */
    const newVm = async (name: string): Promise<string> => {
      const vm = (await client.call('VM.clone', template as string, name)) as string;
      await client.call('VM.provision', vm);
      const limits = [memoryBytes, memoryBytes, memoryBytes, memoryBytes];
      await client.call('VM.set_memory_limits', vm, ...limits);
      return vm;
    };
    await poolCalls(print, pool, newVm);
    await poolLog(print, pool);
    await poolVms(print, pool, newVm);
  } finally {
    await pool.close();
  }
};
