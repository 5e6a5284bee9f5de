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
  /** The last epoch that this host has consented to, and whose it is: at most one host's. */
  readonly consent?: { readonly epoch: number; readonly host: Ref<'host'> };
  /** Where a member finds its pool when its rows do not tell, as right after it joined. */
  readonly coordinator?: PeerAddress;
  /** What the next start has to do first: forget the database of before, for another pool or for none. */
  readonly change?: 'joins' | 'ejected';
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

const isConsent = (value: unknown): boolean => {
  const { epoch, host } = (value ?? {}) as Record<string, unknown>;
  return Number.isSafeInteger(epoch) && typeof host === 'string';
};

const parse = (text: string, file: string): PoolState => {
  let state: Record<string, unknown>;
  try {
    state = (JSON.parse(text) ?? {}) as Record<string, unknown>;
  } catch {
    throw unusable(file);
  }
  const { host, role, epoch, led, consent, coordinator, change } = state;
  const whole =
    typeof host === 'string' &&
    (role === 'coordinator' || role === 'member') &&
    Number.isSafeInteger(epoch) &&
    Number.isSafeInteger(led) &&
    (consent === undefined || isConsent(consent)) &&
    (coordinator === undefined || isAddress(coordinator)) &&
    (change === undefined || change === 'joins' || change === 'ejected');
  if (!whole) throw unusable(file);
  return state as unknown as PoolState;
};
