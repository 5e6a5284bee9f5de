import type { Ref } from '../model/types.ts';
import type { Invoker } from '../objects/invoke.ts';
import { type Carried, Moved, type Places } from '../objects/places.ts';
import { asFault, Fault } from '../std/fault.ts';
import type { PoolContext } from './context.ts';
import { askPatiently } from './patience.ts';
import { carriedOf, countOf, fieldsOf, flagOf, listOf, textOf } from './protocol.ts';

/** Work may take this long; whoever waits for it has given up by then. */
const carryMsMax = 24 * 3_600_000;

/** Answer to a forwarded call: its outcome, and the generation of the log that it was made from. */
type Answer =
  | { readonly result: unknown; readonly generation: number }
  | { readonly fault: string; readonly params: readonly string[]; readonly generation: number }
  /** Nobody knows whether it was done. */
  | { readonly generation: number }
  | { readonly moved: string; readonly placed: boolean; readonly generation: number };

/** Calls to objects that live on other hosts. */
export const forwarding = (context: PoolContext, coordinator: () => Ref<'host'>): Places => {
  const sent = new Map<Ref<'task'>, Set<AbortController>>();
  return {
    coordinator,
    send: async (host, call) => {
      const controller = new AbortController();
      const ofTask = sent.get(call.task) ?? new Set();
      sent.set(call.task, ofTask.add(controller));
      try {
        return await outcome(context, host, await carry(context, host, call, controller.signal));
      } finally {
        ofTask.delete(controller);
        if (ofTask.size === 0) sent.delete(call.task);
      }
    },
    cancel: (task) => {
      const controllers = [...(sent.get(task) ?? [])];
      for (const controller of controllers) controller.abort();
      return controllers.length > 0;
    },
  };
};

const carry = (
  context: PoolContext,
  host: Ref<'host'>,
  call: Carried,
  signal: AbortSignal,
): Promise<unknown> => {
  const { mesh, store } = context;
  if (!context.isUp(host)) throw new Fault('HOST_OFFLINE', [host]);
  return askPatiently(context, host, (requestId, agoMs) => {
    const payload = { call, generation: store.generation, agoMs };
    return mesh.call(host, 'carry', payload, { timeoutMs: carryMsMax, signal, requestId });
  });
};

/** Waits until this host has the generation that the answer was made from: read your own writes. */
const outcome = async ({ store }: PoolContext, host: Ref<'host'>, answer: unknown): Promise<unknown> => {
  const fields = fieldsOf(answer);
  await store.reached(countOf(fields['generation']));
  if (fields['moved'] !== undefined)
    throw new Moved(textOf(fields['moved']) as Ref<'host'>, flagOf(fields['placed']));
  if (fields['fault'] !== undefined) {
    throw Fault.foreign(textOf(fields['fault']), listOf(fields['params']).map(textOf));
  }
  if (!('result' in fields)) throw new Fault('CANNOT_CONTACT_HOST', [host]);
  return fields['result'];
};

/**
 * Does what other hosts ask of the objects that live here, once this host is prepared for it: they may ask
 * as soon as there is a link.
 */
export const serveCarried = (
  context: PoolContext,
  invoker: Invoker,
  cancel: (task: Ref<'task'>) => boolean,
  prepared: Promise<void>,
): void => {
  const { mesh, store, clock, log, limits } = context;
  const startedMs = clock.monotonicMs();
  mesh.serve('carry', async (payload, { signal }): Promise<Answer> => {
    const { call, generation, agoMs } = fieldsOf(payload);
    const carried = carriedOf(call);
    // What was sent before this program started may have been done by the one before it, which knew its id.
    const upMs = clock.monotonicMs() - startedMs;
    if (countOf(agoMs) > 0 && upMs < countOf(agoMs) + limits.answerMsMax)
      return { generation: store.generation };
    signal.addEventListener('abort', () => cancel(carried.task), { once: true });
    await prepared;
    signal.throwIfAborted();
    // What the caller has seen must be known here before this host decides whether it is the right one.
    await store.reached(countOf(generation), signal);
    try {
      const result = await invoker.carry(carried);
      return { result, generation: store.generation };
    } catch (error) {
      if (error instanceof Moved) {
        return { moved: error.host, placed: error.placed, generation: store.generation };
      }
      if (!(error instanceof Fault)) log.error({ error, method: carried.method }, 'A carried call failed');
      const { code, params } = asFault(error);
      return { fault: code, params, generation: store.generation };
    }
  });
};
