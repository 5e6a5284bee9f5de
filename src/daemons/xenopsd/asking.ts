import { guestTriggers } from '../../drivers/hypervisor/hypervisor.ts';
import { scriptOutcomeValue } from '../../rpc/xenops/asking.ts';
import { boolOf, floatOf, member, oneOf, stringOf } from '../../std/reader.ts';
import type { Struct, Value } from '../../std/value.ts';
import type { Backend } from './backend.ts';
import { badPowerState, type DaemonMethod } from './core.ts';
import type { Work } from './tasks.ts';
import type { VmEntry } from './vm-entries.ts';

// What a guest that runs is asked for, or has happen to it, and that changes nothing of what is known of it.

type Prepared = (entry: VmEntry, work: Work) => Promise<Value | void>;
type AsTask = (prepare: (args: Struct) => Prepared) => DaemonMethod;

const assertRuns = (entry: VmEntry): void => {
  const runs = entry.guest?.state === 'running' && entry.exited === undefined;
  if (!runs) throw badPowerState(entry, 'Running');
};

export const askingMethods = (
  asTask: AsTask,
  { backend }: { readonly backend: Backend },
): Readonly<Record<string, DaemonMethod>> => {
  const asking = (prepare: (args: Struct) => Prepared): DaemonMethod =>
    asTask((args) => {
      const ask = prepare(args);
      return async (entry, work) => {
        work.check();
        assertRuns(entry);
        return ask(entry, work);
      };
    });
  return {
    'VM.set_shadow_multiplier': asking((args) => {
      const multiplier = floatOf(member(args, 'multiplier'), 'multiplier');
      return async ({ id }) => backend.setShadowMultiplier?.(id, multiplier);
    }),
    'VM.send_sysrq': asking((args) => {
      const key = stringOf(member(args, 'key'), 'key');
      return ({ id }) => backend.sendSysrq(id, key);
    }),
    'VM.send_trigger': asking((args) => {
      const trigger = oneOf(member(args, 'trigger'), guestTriggers, 'trigger');
      return ({ id }) => backend.sendTrigger(id, trigger);
    }),
    'VM.request_rdp': asking((args) => {
      const enabled = boolOf(member(args, 'enabled'), 'enabled');
      return ({ id }) => backend.requestRdp(id, enabled);
    }),
    'VM.run_script': asking((args) => {
      const script = stringOf(member(args, 'script'), 'script');
      return async ({ id }, { signal }) => scriptOutcomeValue(await backend.runScript(id, script, signal));
    }),
  };
};
