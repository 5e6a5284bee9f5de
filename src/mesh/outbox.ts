import type { Wire } from '../drivers/mesh-wire.ts';
import { FrameFailure, MeshFailure } from './failure.ts';
import { encodeFrame, type Frame, type Item } from './frame.ts';
import type { MeshLimits } from './limits.ts';

/** What goes to one host. Everything put in during one turn goes in one frame. */
export interface Outbox {
  /** `sent` is called once the item is in a frame. */
  put(item: Item, sent?: () => void): void;
  /** Goes on after the wire was full. */
  drained(): void;
  close(): void;
}

export interface OutboxContext {
  readonly wire: Wire;
  readonly limits: MeshLimits;
  /** Version and epoch of a frame that is made now. */
  readonly head: () => Omit<Frame, 'items'>;
  readonly onFrame: (sizeBytes: number) => void;
  /** This item can never be in a frame. */
  readonly onUnsendable: (item: Item, failure: MeshFailure) => void;
}

/** `now.then(f)` runs `f` in the next microtask; cheaper than `queueMicrotask`, which also serves tracing. */
const now = Promise.resolve();

export const outboxOf = ({ wire, limits, head, onFrame, onUnsendable }: OutboxContext): Outbox => {
  let waiting: Item[] = [];
  const told = new Map<Item, () => void>();
  let planned = false;
  let closed = false;

  const flush = (): void => {
    planned = false;
    while (!closed && waiting.length > 0 && wire.bufferedBytes() <= limits.bufferedBytesMax) {
      const batch = waiting.length <= limits.itemsMax ? waiting : waiting.slice(0, limits.itemsMax);
      waiting = batch === waiting ? [] : waiting.slice(limits.itemsMax);
      send(batch);
    }
  };

  const plan = (): void => {
    if (planned || closed) return;
    planned = true;
    void now.then(flush);
  };

  /** What does not fit into one frame goes in two halves; what does not fit alone never goes. */
  const send = (batch: readonly Item[]): void => {
    let bytes: Uint8Array;
    try {
      bytes = encodeFrame({ ...head(), items: batch }, limits);
    } catch (error) {
      if (!(error instanceof FrameFailure)) throw error;
      const half = batch.length >> 1;
      if (half === 0) onUnsendable(batch[0] as Item, new MeshFailure('unsendable', error.message));
      else for (const part of [batch.slice(0, half), batch.slice(half)]) send(part);
      return;
    }
    wire.send(bytes);
    onFrame(bytes.length);
    if (told.size > 0) for (const item of batch) tell(item);
  };

  const tell = (item: Item): void => {
    const sent = told.get(item);
    told.delete(item);
    sent?.();
  };

  return {
    put: (item, sent) => {
      if (closed) return;
      waiting.push(item);
      if (sent !== undefined) told.set(item, sent);
      plan();
    },
    drained: () => {
      if (waiting.length > 0) plan();
    },
    close: () => {
      closed = true;
      waiting = [];
      told.clear();
    },
  };
};
