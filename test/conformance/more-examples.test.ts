// Goal: rules hold for other examples than the recorded ones, and cases are bound by what they say, not by name.
// Method: cases of other values and names are put to the adapters; one that is skipped or fails is shown.

import { expect, test } from 'vitest';
import { adapters } from './adapters.ts';
import type { Case } from './cases.ts';
import { type Adapter, judge } from './subject.ts';

const drive = {
  'VM.power_state': 'Running',
  'VM.domain_type': 'hvm',
  pv_drivers: true,
  'VBD.type': 'Disk',
  'VBD.mode': 'RW',
  'VBD.unpluggable': true,
  'VBD.currently_attached': true,
  'VDI.managed': true,
};
const cd = { ...drive, 'VBD.type': 'CD', 'VBD.mode': 'RO', 'VBD.empty': false };
const features = ['VDI_CLONE', 'VDI_SNAPSHOT', 'VDI_DELETE', 'VDI_CONFIG_CBT', 'VDI_MIRROR', 'VDI_RESIZE'];
const upgrading = { 'pool.other_config': { rolling_upgrade_in_progress: 'true' } };
const refused = (...error: string[]) => ({ allowed: false, error });

type Example = readonly [subject: string, given: Case['given'], when: Case['when'], then: Case['then']];

const operations: readonly Example[] = [
  [
    'vbd_operation_table',
    { ...cd, 'VM.power_state': 'Suspended' },
    { operation: 'eject' },
    refused('VM_BAD_POWER_STATE', '<vm>', 'halted, running', 'suspended'),
  ],
  ['vbd_operation_table', { ...cd, 'VM.power_state': 'Paused' }, { operation: 'eject' }, { allowed: true }],
  [
    'vbd_operation_table',
    { ...drive, 'VDI.managed': false },
    { operation: 'attach' },
    refused('VDI_NOT_MANAGED', '<vbd>'),
  ],
  [
    'vbd_operation_table',
    { ...drive, 'VM.power_state': 'Halted', 'VBD.unpluggable': false, 'VBD.currently_attached': false },
    { operation: 'unplug' },
    refused('VBD_NOT_UNPLUGGABLE', '<vbd>'),
  ],
  [
    'sr_operation_table',
    { 'SM.features': features, PBDs: [] },
    { operation: 'destroy' },
    refused('SR_HAS_NO_PBDS', '<sr>'),
  ],
  [
    'sr_operation_table',
    { 'SM.features': features, ...upgrading },
    { operation: 'vdi_mirror' },
    refused('NOT_SUPPORTED_DURING_UPGRADE'),
  ],
  [
    'vdi_operation_table',
    {
      'SM.features': features,
      'VDI.is_a_snapshot': true,
      VBDs: [{ currently_attached: true, mode: 'RW', 'VM.is_a_snapshot': true }],
    },
    { operation: 'list_changed_blocks' },
    { allowed: true },
  ],
  [
    'vdi_operation_table',
    {
      'SM.features': features,
      'VDI.is_a_snapshot': true,
      'VDI.cbt_enabled': true,
      'SR.is_tools_sr': true,
    },
    { operation: 'data_destroy' },
    refused('SR_OPERATION_NOT_SUPPORTED', '<sr>'),
  ],
  [
    'cluster_operation_table',
    { ...upgrading, 'Cluster.current_operations': { 'OpaqueRef:t': 'enable' } },
    { operation: 'Cluster.remove' },
    refused('OTHER_OPERATION_IN_PROGRESS', 'Cluster', '<cluster>', 'enable', 'OpaqueRef:t'),
  ],
];

const forms: readonly Example[] = [
  [
    'datetime_parsing',
    {},
    { iso8601: '2020-04-07T08:28:32.5+02:00' },
    { printed: '20200407T08:28:32+02:00', unix: '1586240912' },
  ],
  [
    'event_tokens_and_subscriptions',
    {},
    { 'event.from token': '0x1F,0b10' },
    {
      accepted: true,
      generation: '31',
      'message generation': '2',
      'canonical token': '00000000000000000031,00000000000000000002',
    },
  ],
  [
    'event_tokens_and_subscriptions',
    {},
    { classes: ['*/r1'], 'event.class': 'vm', 'event.ref': 'r1' },
    { delivered: false },
  ],
  [
    'http_misc',
    {},
    { call: 'parse URL', url: 'https://me:p%40:ss@h:8443/x' },
    { scheme: 'https', host: 'h', port: 8443, path: '/x', query: [], auth: { basic: ['me', 'p@:ss'] } },
  ],
];

const prose: readonly Example[] = [
  [
    'vm_and_pool_scenarios',
    { VMs: 2 },
    { call: 'VM.set_groups each to [<g>]' },
    { 'VM_group.VMs (as a set)': ['<vm1>', '<vm2>'] },
  ],
  [
    'vm_and_pool_scenarios',
    {},
    { call: 'VM.set_groups', value: ['<a>', '<b>', '<c>'] },
    { error: ['TOO_MANY_GROUPS'] },
  ],
  [
    'vm_and_pool_scenarios',
    { 'VM.power_state': 'Halted', 'VM.NVRAM': { a: '1' } },
    { call: 'VM.set_NVRAM', value: { b: '2' } },
    { 'VM.NVRAM': { b: '2' } },
  ],
  [
    'vm_and_pool_scenarios',
    { 'VM.VGPUs': 2 },
    { call: 'VM.assert_agile' },
    { error: ['VM_HAS_VGPU', '<vm>'] },
  ],
  [
    'vm_and_pool_scenarios',
    { 'VM power states': ['Suspended'] },
    { operation: 'hard_shutdown' },
    { allowed: true },
  ],
  [
    'network_preconditions',
    { 'VM.VIFs devices': ['0'] },
    { call: 'VIF.create', device: '1', network: '<net>' },
    { 'VIF.VM': '<vm>', 'VIF.device': '1' },
  ],
  [
    'network_preconditions',
    { 'VM.VIFs devices': ['3'] },
    { call: 'VIF.create', device: '3', network: '<net>' },
    { error: ['DEVICE_ALREADY_EXISTS', '3'] },
  ],
  ['forwarding_and_emergency', {}, { call: 'VM.resume' }, { 'runs on': 'chosen host (placement)' }],
  ['forwarding_and_emergency', {}, { call: 'VM.hard_reboot' }, { 'runs on': 'VM home host' }],
];

test.for([...operations, ...forms, ...prose])('%s given %o when %o', async ([subject, given, when, then]) => {
  const adapter = adapters.get(subject);
  if (adapter === undefined) throw new Error(`Nothing here knows ${subject}`);
  expect(await judge(adapter, { name: 'another example', given, when, then })).toEqual({ kind: 'passed' });
});

test('what is not built is skipped by what is called', async () => {
  const adapter = adapters.get('network_preconditions') as Adapter;
  const [given, when, then] = [{}, { call: 'VLAN.create', tag: 7 }, {}];
  expect(await judge(adapter, { name: 'another example', given, when, then })).toMatchObject({
    kind: 'skipped',
    reason: 'VLAN.create is not built',
  });
});
