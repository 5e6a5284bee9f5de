import type { Hypervisor, ScriptOutcome } from '../../drivers/hypervisor/hypervisor.ts';
import { intOf, member, stringOf } from '../../std/reader.ts';
import { struct, type Value } from '../../std/value.ts';
import type { TaskFollower } from './task-follower.ts';

// What a guest that runs is asked for, as it goes over the wire.

type Asked = 'setShadowMultiplier' | 'sendSysrq' | 'sendTrigger' | 'requestRdp' | 'runScript';

export const askingCalls = (run: TaskFollower['run']): Pick<Hypervisor, Asked> => {
  const work = async (...args: Parameters<TaskFollower['run']>): Promise<void> => {
    await run(...args);
  };
  return {
    setShadowMultiplier: (id, multiplier, how) => work('VM.set_shadow_multiplier', { id, multiplier }, how),
    sendSysrq: (id, key, how) => work('VM.send_sysrq', { id, key }, how),
    sendTrigger: (id, trigger, how) => work('VM.send_trigger', { id, trigger }, how),
    requestRdp: (id, enabled, how) => work('VM.request_rdp', { id, enabled }, how),
    runScript: async (id, script, how) =>
      scriptOutcomeOf((await run('VM.run_script', { id, script }, how)) ?? null),
  };
};

const scriptOutcomeOf = (value: Value): ScriptOutcome => ({
  rc: Number(intOf(member(value, 'rc'), 'rc')),
  stdout: stringOf(member(value, 'stdout'), 'stdout'),
  stderr: stringOf(member(value, 'stderr'), 'stderr'),
});

export const scriptOutcomeValue = ({ rc, stdout, stderr }: ScriptOutcome): Value =>
  struct({ rc: BigInt(rc), stdout, stderr });
