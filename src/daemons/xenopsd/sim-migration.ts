import { keptIn, XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { jsonIn, textsOf } from '../../std/reader.ts';
import type { Backend, BackendWork, Guest, GuestSpec } from './backend.ts';
import type { SimOperation } from './sim-config.ts';
import type { SimGuests } from './sim-guests.ts';

/** The memory of a simulated guest: a mark, and a few bytes for each step of its way. */
const MEMORY_MARK = 'xenact simulated memory on its way, of ';
const STEPS = 20;
const STEP_BYTES = 4_096;
const MEMORY_BYTES_MAX = 1024 * 1024;

/** Takes the time of the operation in as many steps, and fails when its fault is due. */
export type HappenInSteps = (
  operation: SimOperation,
  vm: string,
  steps: number,
  work: BackendWork,
  step: (done: number) => Promise<void>,
) => Promise<void>;

export const simMigration = (
  guests: SimGuests,
  happen: (operation: SimOperation, vm: string, signal?: AbortSignal) => Promise<void>,
  happenInSteps: HappenInSteps,
  newGuest: (spec: GuestSpec) => Promise<Guest>,
  unpause: (vm: string) => Promise<void>,
): Pick<Backend, 'send' | 'receive' | 'arrive'> => ({
  send: async (vm, write, work) => {
    guests.find(vm);
    await write(Buffer.from(`${MEMORY_MARK}${vm}\n`));
    await happenInSteps('send', vm, STEPS, work, async (done) => {
      await write(Buffer.alloc(STEP_BYTES, done));
      work.progress(done / STEPS);
    });
    await write(Buffer.from(JSON.stringify(guests.find(vm).kept ?? {})));
    await guests.change(vm, { state: 'paused' });
  },
  receive: async (spec, pieces, work) => {
    const parts: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const piece of pieces) {
      sizeBytes += piece.length;
      if (sizeBytes > MEMORY_BYTES_MAX) throw new XenopsError('Internal_error', ['this is too much memory']);
      parts.push(piece);
    }
    const memory = Buffer.concat(parts);
    const mark = Buffer.from(`${MEMORY_MARK}${spec.vm.id}\n`);
    const end = mark.length + STEPS * STEP_BYTES;
    if (!memory.subarray(0, mark.length).equals(mark) || sizeBytes < end) {
      throw new XenopsError('Internal_error', [`this is not the memory of VM ${spec.vm.id}`]);
    }
    await happen('receive', spec.vm.id, work.signal);
    // What its devices keep comes last.
    const said = memory.subarray(end).toString('utf8');
    return newGuest({ ...spec, kept: keptIn(said === '' ? [] : textsOf(jsonIn(said), 'kept')) });
  },
  arrive: async (vm) => {
    guests.find(vm);
    await happen('arrive', vm);
    await unpause(vm);
  },
});
