import type { Disk } from '../drivers/disk.ts';
import type { Ref } from '../model/types.ts';
import { DecodeFailure } from '../std/decode-failure.ts';
import { countOf, itemsOf, jsonOf, member, oneOf, optional, required, stringOf } from '../std/reader.ts';
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
   * The leader stopped, and answered nothing beyond this. Who has that much has everything, for as long as
   * nobody has led since: whoever asks whether it may lead is answered only once this is forgotten.
   */
  readonly complete?: Complete;
  /** What an order may have lost, until it is written into an alert. */
  readonly alert?: string;
  /** Where a member finds its pool when its rows do not tell, as right after it joined. */
  readonly coordinator?: PeerAddress;
  /** And other hosts that know who leads, until it has followed one. */
  readonly others?: readonly PeerAddress[];
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

/** Hosts of its pool that it was told of, and which its rows may not have yet. */
export const toldOf = (state: PoolState | undefined): readonly PeerAddress[] => {
  const { coordinator, others = [] } = state ?? {};
  return coordinator === undefined ? others : [...others, coordinator];
};

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
    `${file} cannot be read, so this host cannot know to which pool it belongs. Put it back from a backup ` +
      'of the data folder, or start anew with --rebuild, which sets the database aside and leaves disks ' +
      'alone.',
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

const addressOf = (value: unknown): PeerAddress => ({
  host: required(value, 'host', refOf),
  address: required(value, 'address', stringOf),
  port: required(value, 'port', countOf),
  pins: itemsOf(member(value, 'pins'), stringOf, 'pins'),
});

const completeOf = (value: unknown): Complete => ({
  host: required(value, 'host', refOf),
  epoch: required(value, 'epoch', countOf),
  generation: required(value, 'generation', countOf),
});

const refOf = (value: unknown, what: string): Ref<'host'> => stringOf(value, what) as Ref<'host'>;

const changeOf = (value: unknown, what: string): 'joins' | 'ejected' =>
  oneOf(value, ['joins', 'ejected'], what);

/** Version 0.2.0 also kept a `consent`, of which nothing follows any more. */
const stateOf = (value: unknown): PoolState => {
  const complete = optional(value, 'complete', completeOf);
  const alert = optional(value, 'alert', stringOf);
  const coordinator = optional(value, 'coordinator', addressOf);
  const others = optional(value, 'others', (list, what) => itemsOf(list, addressOf, what));
  const change = optional(value, 'change', changeOf);
  return {
    host: required(value, 'host', refOf),
    role: oneOf(member(value, 'role'), ['coordinator', 'member'], 'role'),
    epoch: required(value, 'epoch', countOf),
    led: required(value, 'led', countOf),
    ...(complete !== undefined && { complete }),
    ...(alert !== undefined && { alert }),
    ...(coordinator !== undefined && { coordinator }),
    ...(others !== undefined && { others }),
    ...(change !== undefined && { change }),
  };
};

const parse = (text: string, file: string): PoolState => {
  try {
    return stateOf(jsonOf(text));
  } catch (error) {
    throw error instanceof DecodeFailure ? unusable(file) : error;
  }
};
