import { variant } from '../../codec/rpclib.ts';
import type { DatapathBackend } from '../../drivers/storage/datapath-holdings.ts';
import { openDatapaths } from '../../drivers/storage/datapaths.ts';
import type { HostStorage } from '../../drivers/storage/host-storage.ts';
import { stateFiles } from '../../drivers/storage/state-files.ts';
import type { Storage } from '../../drivers/storage/storage.ts';
import { turns } from '../../drivers/storage/turns.ts';
import type { Log } from '../../std/log.ts';
import { struct } from '../../std/value.ts';
import type { Life } from '../life.ts';
import type { MemoryDisk } from '../memory-disk.ts';

const waitingMax = 256;

/**
 * The storage of a simulated machine as one process has it: simulated repositories, whose disks are given to
 * guests by the real rules of datapaths. The repositories refuse nobody who attaches a disk: that two hosts
 * write to one is for the rest to prevent.
 */
export const processStorage = async (given: {
  readonly repositories: Storage;
  /** Forgets what is on it when the machine loses its power. */
  readonly volatile: MemoryDisk;
  readonly life: Life;
  readonly log: Log;
  readonly takeTime: () => Promise<void>;
}): Promise<HostStorage> => {
  const { repositories, volatile, life, log } = given;
  const files = stateFiles(volatile.of(life), '/run/sm', 'this boot');
  const backend = backendOf(repositories, given.takeTime);
  const datapathsOf = await openDatapaths({ backend, files, turns: turns(waitingMax), log });
  return Object.assign(Object.create(repositories) as Storage, {
    datapathsOf,
    datapaths: (sr: string, key: string) => [...datapathsOf.statesOf({ sr, key }).states.keys()],
    beginEpoch: async () => {},
    endEpoch: async () => {},
    attachedSrs: () => [],
  });
};

const backendOf = (repositories: Storage, takeTime: () => Promise<void>): DatapathBackend => ({
  locate: async ({ sr, key, vm }, call) => {
    await repositories.statVolume(sr, key, call);
    return { uri: `/disks/${sr}/${key}`, domain: vm };
  },
  attach: async (_, { uri }) => {
    await takeTime();
    return struct({ implementations: [variant('File', struct({ path: uri }))] });
  },
  drive: () => takeTime(),
});
