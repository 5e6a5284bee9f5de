import type { Ref } from '../../src/model/types.ts';
import { freeBytes, memoryOfHost } from '../../src/rules/placement/memory.ts';
import type { View } from '../../src/store/view.ts';

/** Bytes that VMs could still get on a host: what none of its VMs, and no VM on its way to it, holds. */
export const freeMemory = (view: View, self: Ref<'host'>): bigint => freeBytes(memoryOfHost(view, self));
