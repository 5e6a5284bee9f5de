// Goal: a guest that runs is asked for things by way of its machine and of its agent, with the refusals that
// clients know, and no oftener than it can stand.
// Method: the real behaviours over a daemon in process that notes what it was asked; the clock is the test's.

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Ref } from '../../src/model/types.ts';
import { type Bench, bench, type FakeHypervisor, fakeHypervisor } from './vm-bench.ts';

let hypervisor: FakeHypervisor;
let at: Bench;
let vm: Ref<'VM'>;
beforeEach(async () => {
  hypervisor = fakeHypervisor();
  at = await bench(hypervisor);
  vm = await at.newVm();
});
afterEach(() => at.close());

const answerOf = async (call: Promise<unknown>): Promise<unknown> => {
  try {
    return await call;
  } catch (error) {
    const { code, params } = error as { code: string; params: readonly string[] };
    return [code, ...params];
  }
};
const firstTwo = (answer: unknown): unknown => (answer as unknown[]).slice(0, 2);
const start = (): Promise<unknown> => at.call('VM.start', vm, false, false);
const ask = (fn: string, args: Record<string, string> = {}, plugin = 'guest-agent-operation') =>
  answerOf(at.call('VM.call_plugin', vm, plugin, fn, new Map(Object.entries(args))));
const pool = (): Ref<'pool'> => [...at.store.latest.all('pool')][0]?.[0] as Ref<'pool'>;
const allowScripts = () =>
  at.store.commit((tx) =>
    tx.patch('pool', pool(), { other_config: new Map([['allow_guest_agent_run_script', 'true']]) }),
  );

describe('VM.call_plugin', () => {
  beforeEach(start);
  const script = { username: 'u', password: 'p', script: 'true' };

  test('knows one plugin, and asks no guest for another one', async () => {
    expect(await ask('run-script', script, 'other')).toEqual(['XENAPI_MISSING_PLUGIN', 'other']);
    expect(firstTwo(await ask('nope'))).toEqual(['XENAPI_PLUGIN_FAILURE', 'failed to find fn']);
  });

  test('is refused for ten seconds after a call that was taken, for this guest alone', async () => {
    const other = await at.newVm();
    await at.call('VM.start', other, false, false);
    await ask('nope');
    const refusal = ['VM_CALL_PLUGIN_RATE_LIMIT', vm, '10.', expect.stringMatching(/^\d+(\.\d+)?$/)];
    expect(await ask('nope')).toEqual(refusal);
    const plugin = 'guest-agent-operation';
    const asked = answerOf(at.call('VM.call_plugin', other, plugin, 'nope', new Map()));
    expect(firstTwo(await asked)).toEqual(['XENAPI_PLUGIN_FAILURE', 'failed to find fn']);
    await at.store.commit((tx) =>
      tx.patch('VM', vm, { agent_called: tx.require('VM', vm).agent_called - 10_000n }),
    );
    expect(firstTwo(await ask('nope'))).toEqual(['XENAPI_PLUGIN_FAILURE', 'failed to find fn']);
  });

  test('runs scripts where the pool allows it, and says what came of them', async () => {
    expect(await ask('run-script', script)).toEqual(['FEATURE_RESTRICTED']);
    expect(hypervisor.calls).not.toContain('runScript true');
    await at.store.commit((tx) => tx.patch('VM', vm, { agent_called: 0n }));
    await allowScripts();
    expect(JSON.parse(String(await ask('run-script', script)))).toEqual({
      rc: 3,
      stdout: 'said',
      stderr: '',
    });
    expect(hypervisor.calls).toContain('runScript true');
  });

  test.each([
    [{ password: 'p', script: 'x' }, ['missing argument', '', 'Argument username is required.']],
    [{ username: 'u', password: 'p' }, ['missing argument', '', 'Argument script is required.']],
    [
      { ...script, script: 'é'.repeat(513) },
      ['length restriction', '', 'The script length must not exceed 1024 bytes'],
    ],
  ])('refuses a script with %j', async (args, params) => {
    await allowScripts();
    expect(await ask('run-script', args as Record<string, string>)).toEqual([
      'XENAPI_PLUGIN_FAILURE',
      ...params,
    ]);
  });

  test('lets people in by remote desktop where the agent offers that', async () => {
    expect(firstTwo(await ask('request-rdp-on'))).toEqual(['XENAPI_PLUGIN_FAILURE', 'failed to execute fn']);
    await at.store.commit((tx) => {
      const { guest_metrics } = tx.require('VM', vm);
      tx.patch('VM_guest_metrics', guest_metrics, { other: new Map([['feature-ts2', '1']]) });
      tx.patch('VM', vm, { agent_called: 0n });
    });
    expect(await ask('request-rdp-off')).toBe('');
    expect(hypervisor.calls).toContain('requestRdp false');
  });
});

describe('keys, events and memory of a guest that runs', () => {
  test('reach its machine', async () => {
    await start();
    await at.call('VM.send_sysrq', vm, 'H');
    await at.call('VM.send_trigger', vm, 'nmi');
    await at.call('VM.set_shadow_multiplier_live', vm, 1.5);
    expect(hypervisor.calls.slice(-3)).toEqual(['sendSysrq h', 'sendTrigger nmi', 'setShadowMultiplier 1.5']);
    expect(at.store.committed.require('VM', vm).HVM_shadow_multiplier).toBe(1.5);
  });

  test.each([
    ['VM.send_sysrq', 'key', 'hh'],
    ['VM.send_sysrq', 'key', '"'],
    ['VM.send_trigger', 'trigger', 'explode'],
    ['VM.set_shadow_multiplier_live', 'HVM_shadow_multiplier', Number.NaN],
    ['VM.set_shadow_multiplier_live', 'HVM_shadow_multiplier', 0.5],
  ] as const)('%s refuses a %s of %s when it comes in', async (message, name, value) => {
    await start();
    expect(await answerOf(at.call(message, vm, value))).toEqual(['INVALID_VALUE', name, String(value)]);
  });

  test.each([
    ['VM.send_sysrq', 'h'],
    ['VM.send_trigger', 'nmi'],
    ['VM.set_shadow_multiplier_live', 2],
  ] as const)('%s needs a guest that runs', async (message, value) => {
    expect(await answerOf(at.call(message, vm, value))).toEqual([
      ...['VM_BAD_POWER_STATE', vm, 'running', 'halted'],
    ]);
  });
});

test('a system domain tells the services that its agent does, and no other VM tells any', async () => {
  await start();
  expect(await answerOf(at.call('VM.query_services', vm))).toEqual(['NOT_SYSTEM_DOMAIN', vm]);
  const services = new Map([['storage', '1']]);
  await at.store.commit((tx) => {
    tx.patch('VM', vm, { other_config: new Map([['is_system_domain', 'true']]) });
    tx.patch('VM_guest_metrics', tx.require('VM', vm).guest_metrics, { services });
  });
  expect(await answerOf(at.call('VM.query_services', vm))).toEqual(services);
});
