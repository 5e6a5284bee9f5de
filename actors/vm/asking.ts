import { type GuestTrigger, guestTriggers } from '../../src/drivers/hypervisor/hypervisor.ts';
import { permits, rolesThatPermit } from '../../src/model/derive.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import { demand } from '../../src/objects/refusal.ts';
import { asked, xenopsWork } from '../../src/rules/hypervisor-work.ts';
import { Fault } from '../../src/std/fault.ts';
import type { View } from '../../src/store/view.ts';
import { vmRefusal } from './admission.ts';
import { VM } from './class.ts';
import type { VmHandlers } from './handlers.ts';

// What a guest that runs is asked for by way of its machine or of the agent in it.

type Vm = Working<'VM'>;

/** The one plugin that all agents have. */
const plugin = 'guest-agent-operation';
/** A guest is not troubled more often than that. */
const agentMsMin = 10_000;
const scriptBytesMax = 1024;
/** Of the pool's `other_config`: whether agents run scripts at all. */
const scriptsKey = 'allow_guest_agent_run_script';

const failed = (...params: readonly string[]): Fault => new Fault('XENAPI_PLUGIN_FAILURE', params);

/** Counts also what is then refused for its arguments. */
const takeTurn = async ({ self, services, commit }: Vm): Promise<void> => {
  await commit((tx) => {
    const nowMs = services.clock.now();
    const sinceMs = nowMs - Number(tx.require('VM', self).agent_called);
    const leftMs = agentMsMin - sinceMs;
    // A clock that was set back keeps nobody out.
    if (sinceMs >= 0 && leftMs > 0) {
      const seconds = String(leftMs / 1000);
      throw new Fault('VM_CALL_PLUGIN_RATE_LIMIT', [self, `${agentMsMin / 1000}.`, seconds]);
    }
    tx.patch('VM', self, { agent_called: BigInt(nowMs) });
  });
};

const letIn = async (working: Vm, fn: string, enabled: boolean): Promise<string> => {
  const { view, record, services } = working;
  const feature = view.get('VM_guest_metrics', record.guest_metrics)?.other.get('feature-ts2') ?? '';
  if (feature === '' || feature === '0') {
    const why = `The agent in the guest does not offer what ${fn} of ${plugin} needs`;
    throw failed('failed to execute fn', why, why);
  }
  const how = xenopsWork(working, 'VM.call_plugin');
  await asked('VM.call_plugin', services.hypervisor.requestRdp(record.uuid, enabled, how));
  return '';
};

const scriptsAllowed = (view: View): boolean =>
  [...view.all('pool')].some(([, { other_config }]) => other_config.get(scriptsKey) === 'true');

/** What the script said, as JSON. */
const runScript = async (working: Vm, args: ReadonlyMap<string, string>): Promise<string> => {
  const { view, record, services, caller } = working;
  if (!scriptsAllowed(view)) throw new Fault('FEATURE_RESTRICTED', []);
  const missing = ['username', 'password', 'script'].find((name) => !args.has(name));
  if (missing !== undefined) throw failed('missing argument', '', `Argument ${missing} is required.`);
  // Whoever commands the guest sees all that is in its memory.
  const { role } = VM.messages.checkpoint;
  if (!permits(caller.role, role)) {
    const able = rolesThatPermit(role).join(', ');
    throw new Fault('RBAC_PERMISSION_DENIED', ['vm.call_plugin', `Scripts are run for these roles: ${able}`]);
  }
  const script = args.get('script') ?? '';
  if (Buffer.byteLength(script) > scriptBytesMax) {
    throw failed('length restriction', '', `The script length must not exceed ${scriptBytesMax} bytes`);
  }
  const how = xenopsWork(working, 'VM.call_plugin');
  return JSON.stringify(
    await asked('VM.call_plugin', services.hypervisor.runScript(record.uuid, script, how)),
  );
};

const functions: ReadonlyMap<string, (working: Vm, args: ReadonlyMap<string, string>) => Promise<string>> =
  new Map([
    ['request-rdp-on', (working) => letIn(working, 'request-rdp-on', true)],
    ['request-rdp-off', (working) => letIn(working, 'request-rdp-off', false)],
    ['run-script', runScript],
  ]);

const isTrigger = (name: string): name is GuestTrigger => (guestTriggers as readonly string[]).includes(name);

export const asking = {
  call_plugin: {
    operation: 'call_plugin',
    unless: (_view, _self, args) =>
      args.plugin === plugin ? undefined : new Fault('XENAPI_MISSING_PLUGIN', [args.plugin]),
    work: async (working, { fn, args }) => {
      await takeTurn(working);
      const call = functions.get(fn);
      if (call !== undefined) return call(working, args);
      const why = `The function "${fn}" is none of ${plugin}: ${[...functions.keys()].join(', ')}`;
      throw failed('failed to find fn', why, why);
    },
  },
  send_sysrq: {
    operation: 'send_sysrq',
    unless: (_view, _self, { key }) =>
      /^[a-z0-9]$/i.test(key) ? undefined : new Fault('INVALID_VALUE', ['key', key]),
    work: (working, { key }) => {
      const how = xenopsWork(working, 'VM.send_sysrq');
      const { hypervisor } = working.services;
      return asked('VM.send_sysrq', hypervisor.sendSysrq(working.record.uuid, key.toLowerCase(), how));
    },
  },
  send_trigger: {
    operation: 'send_trigger',
    unless: (_view, _self, { trigger }) =>
      isTrigger(trigger) ? undefined : new Fault('INVALID_VALUE', ['trigger', trigger]),
    work: (working, { trigger }) => {
      const how = xenopsWork(working, 'VM.send_trigger');
      const { hypervisor } = working.services;
      return asked(
        'VM.send_trigger',
        hypervisor.sendTrigger(working.record.uuid, trigger as GuestTrigger, how),
      );
    },
  },
  query_services: {
    read: ({ view, self }) => {
      demand(vmRefusal(view, self as Ref<'VM'>, 'query_services'));
      const { guest_metrics } = view.require('VM', self as Ref<'VM'>);
      return view.get('VM_guest_metrics', guest_metrics)?.services ?? new Map();
    },
  },
} satisfies VmHandlers;
