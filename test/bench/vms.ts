import { inParallel } from './figures.ts';
import type { Client } from './pool.ts';

const memoryBytes = 4n << 20n;

/** Halted VMs without devices, small enough that all of them run at once on whatever machine this is. */
export const createVms = async (clients: readonly Client[], count: number): Promise<readonly string[]> => {
  const [first] = clients as [Client];
  const [template] = (await first.call('VM.get_by_name_label', 'Other install media')) as string[];
  const vms: string[] = [];
  await inParallel(count, clients.length, async (i, worker) => {
    const client = clients[worker] as Client;
    const vm = (await client.call('VM.clone', template as string, `vm ${i}`)) as string;
    await client.call('VM.remove_from_other_config', vm, 'disks');
    await client.call('VM.provision', vm);
    await client.call('VM.set_memory_limits', vm, ...Array.from({ length: 4 }, () => memoryBytes));
    vms[i] = vm;
  });
  return vms;
};

export const assertAll = async (client: Client, vms: readonly string[], state: string): Promise<void> => {
  const records = (await client.call('VM.get_all_records')) as ReadonlyMap<
    string,
    ReadonlyMap<string, unknown>
  >;
  const wrong = vms.filter((vm) => records.get(vm)?.get('power_state') !== state);
  if (wrong.length > 0) throw new Error(`${wrong.length} of ${vms.length} VMs are not ${state}`);
};
