import { executionAsyncResource } from 'node:async_hooks';

/**
 * Node makes an object for every `process.nextTick`, of which each request takes several. The engine
 * forgets the shape of objects that a full collection finds none of, and makes ones that come back to a
 * forgotten shape a property at a time for the rest of the process, which is ten times as dear. One that
 * is kept from the start on keeps the shape alive.
 */
export const keepTicksFast = (): void => process.nextTick(() => kept.push(executionAsyncResource()));

const kept: object[] = [];
