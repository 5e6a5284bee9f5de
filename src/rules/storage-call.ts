import type { StorageCall } from '../drivers/storage/storage.ts';
import type { ClassName } from '../model/class.ts';
import { nullRef } from '../model/types.ts';
import type { Working } from '../objects/implement.ts';

/** How work asks storage: given up when the work is, and as a part of its task. */
export const storageCall = (
  { task, signal }: Pick<Working<ClassName>, 'task' | 'signal'>,
  debugInfo: string,
): StorageCall => ({ debugInfo, signal, ...(task !== nullRef && { task }) });
