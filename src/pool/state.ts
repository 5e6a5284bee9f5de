import type { Disk } from '../drivers/disk.ts';
import type { Ref } from '../model/types.ts';
import { UnusableError } from '../std/unusable.ts';

/** Where a host stands in its pool, as it must know before it has asked anybody. */
export interface PoolState {
  readonly host: Ref<'host'>;
  readonly role: 'coordinator' | 'member';
  /** The highest epoch that this host has ever heard of. It obeys no lower one. */
  readonly epoch: number;
  /** The last epoch in which it led itself; 0: it never did. */
  readonly led: number;
  /**
   * The leader stopped, and answered nothing beyond this. Who has that much has everything, for as long as nobody
   * has led since: whoever asks whether it may lead is answered only once this is forgotten.
   */
  readonly complete?: Complete;
  /** What an order may have lost, until it is written into an alert. */
  readonly alert?: string;
  /** Where a member finds its pool when its rows do not tell, as right after it joined. */
  readonly coordinator?: PeerAddress;
  /** What the next start has to do first: forget the database of before, for another pool or for none. */
  readonly change?: 'joins' | 'ejected';
}

export interface Complete {
  readonly host: Ref<'host'>;
  readonly epoch: number;
  readonly generation: number;
}

export interface PeerAddress {
  readonly host: Ref<'host'>;
  readonly address: string;
  readonly port: number;
  readonly pins: readonly string[];
}

/** Kept in a file of the host's own: it must hold also when the database is behind, or is another's. */
export interface StateFile {
  readonly current: PoolState | undefined;
  /** Resolves once it is on disk; nothing is done before on the strength of it. */
  save(state: PoolState): Promise<void>;
  /** The host is in no pool any more. */
  forget(): Promise<void>;
}

const unusable = (file: string): UnusableError =>
  new UnusableError(
    `${file} cannot be read, so this host cannot know to which pool it belongs. Put it back from a backup of the data folder, ` +
      'or start anew with --rebuild, which sets the database aside and leaves disks alone.',
  );

const fileBytesMax = 1 << 16;

export const openStateFile = async (disk: Disk, file: string): Promise<StateFile> => {
  let current = (await disk.exists(file)) ? parse(await disk.readText(file, fileBytesMax), file) : undefined;
  let writing: Promise<void> = Promise.resolve();
  return {
    get current() {
      return current;
    },
    save: (state) => {
      // What is known counts at once: nobody may act on less while the disk is slow.
      current = state;
      const text = `${JSON.stringify(state, null, 2)}\n`;
      const written = writing.then(() => disk.replaceText(file, text, 0o600));
      writing = written.catch(() => undefined);
      return written;
    },
    forget: async () => {
      current = undefined;
      await writing;
      await disk.remove(file);
    },
  };
};

const isAddress = (value: unknown): value is PeerAddress => {
  const { host, address, port, pins } = (value ?? {}) as Record<string, unknown>;
  const texts = [host, address].every((one) => typeof one === 'string');
  return (
    texts && Number.isInteger(port) && Array.isArray(pins) && pins.every((pin) => typeof pin === 'string')
  );
};

const isComplete = (value: unknown): boolean => {
  const { epoch, generation, host } = (value ?? {}) as Record<string, unknown>;
  return Number.isSafeInteger(epoch) && Number.isSafeInteger(generation) && typeof host === 'string';
};

const parse = (text: string, file: string): PoolState => {
  let state: Record<string, unknown>;
  try {
    state = (JSON.parse(text) ?? {}) as Record<string, unknown>;
  } catch {
    throw unusable(file);
  }
  // Version 0.2.0 also kept a `consent`, of which nothing follows any more.
  const { consent: _, ...known } = state;
  const { host, role, epoch, led, complete, alert, coordinator, change } = known;
  const whole =
    typeof host === 'string' &&
    (role === 'coordinator' || role === 'member') &&
    Number.isSafeInteger(epoch) &&
    Number.isSafeInteger(led) &&
    (complete === undefined || isComplete(complete)) &&
    (alert === undefined || typeof alert === 'string') &&
    (coordinator === undefined || isAddress(coordinator)) &&
    (change === undefined || change === 'joins' || change === 'ejected');
  if (!whole) throw unusable(file);
  return known as unknown as PoolState;
};
