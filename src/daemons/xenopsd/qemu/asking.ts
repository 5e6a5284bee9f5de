// What the machine of a guest can have happen to it, and what its agent is asked for.
import {
  type GuestTrigger,
  type ScriptOutcome,
  XenopsError,
} from '../../../drivers/hypervisor/hypervisor.ts';
import { allowed, said } from '../../../std/allowed.ts';
import { own } from '../../../std/own.ts';
import { notSupported } from '../refusal.ts';
import type { QemuGuest } from './live.ts';

/** The keys go down together and up again, on the keyboard that every machine has. */
export const sendSysrq = async ({ link }: QemuGuest, key: string): Promise<void> => {
  const letter = allowed('key', key, (why) => notSupported('key', key, why));
  const keys = [
    { type: 'qcode', data: 'alt' },
    { type: 'qcode', data: 'sysrq' },
    { type: 'qcode', data: letter },
  ] as const;
  await link.qmp().execute('send-key', said({ keys }));
};

const commands = { nmi: 'inject-nmi', reset: 'system_reset', power: 'system_powerdown' } as const;

export const sendTrigger = async ({ link }: QemuGuest, trigger: GuestTrigger): Promise<void> => {
  const command = own<(typeof commands)[keyof typeof commands] | undefined>(commands, trigger);
  if (command === undefined)
    throw notSupported('trigger', trigger, 'the machine of the guest has no such event');
  await link.qmp().execute(command);
};

/** A setting of Windows, the one system whose agent offers it. */
export const requestRdp = async (guest: QemuGuest, enabled: boolean): Promise<void> => {
  const key = 'HKLM\\SYSTEM\\CurrentControlSet\\Control\\Terminal Server';
  const refused = enabled ? 0 : 1;
  const script = `reg add "${key}" /v fDenyTSConnections /t REG_DWORD /d ${refused} /f`;
  const { rc, stderr } = await runScript(guest, script, new AbortController().signal);
  if (rc !== 0) throw new XenopsError('Failed_to_run_script', [stderr]);
};

export const runScript = (
  { agent }: QemuGuest,
  script: string,
  signal: AbortSignal,
): Promise<ScriptOutcome> => {
  if (agent === undefined) {
    const why = 'the guest has a line for an agent only from its next start on';
    throw new XenopsError('Failed_to_run_script', [why]);
  }
  return agent.run(script, signal);
};
