import type { Turns } from '../turns.ts';

export const nodeTurns: Turns = {
  next: () => new Promise((resolve) => setImmediate(resolve)),
  waiting: () => process.getActiveResourcesInfo().filter((kind) => kind === 'Immediate').length,
};
