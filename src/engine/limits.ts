import type { EngineLimits } from './context.ts';
import { memberLimits } from './member.ts';

export const engineLimits: EngineLimits = {
  ...memberLimits,
  askMsMax: 20_000,
  formMsMax: 60_000,
  catchUpMsMax: 600_000,
  pollMs: 200,
  tendMs: 30_000,
  moveMs: 500,
  snapshotMs: 3_600_000,
  snapshotsMax: 6,
};
