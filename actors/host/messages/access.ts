import type { Messages } from '../../../src/model/class.ts';
import { bool, datetime, int, set, string, stringMap } from '../../../src/model/types.ts';
import { hostNtpMode } from '../enums.ts';

/** SSH, the console, time and power saving. */
export const access = {
  enable_ssh: {
    doc: 'Let administrators log in by SSH, until the timeout if there is one.',
    role: 'pool-admin',
    self: 'self',
    async: true,
  },
  disable_ssh: {
    doc: 'Close SSH.',
    role: 'pool-admin',
    self: 'self',
    async: true,
  },
  set_ssh_enabled_timeout: {
    doc: 'Have SSH close by itself some time after it was opened.',
    role: 'pool-admin',
    self: 'self',
    params: { value: [int, 'Seconds; 0 keeps it open.'] },
    async: true,
  },
  set_console_idle_timeout: {
    doc: "End idle shells on the host's console.",
    role: 'pool-admin',
    self: 'self',
    params: { value: [int, 'Seconds; 0 never ends them.'] },
    async: true,
  },
  set_ssh_auto_mode: {
    doc: 'Have SSH open by itself while the toolstack is down.',
    role: 'pool-admin',
    self: 'self',
    params: { value: [bool, 'True to do so.'] },
    async: true,
  },
  get_tracked_user_agents: {
    doc: 'Names and versions of client programs that called the host lately.',
    role: 'read-only',
    self: 'self',
    result: stringMap,
    async: true,
  },
  update_firewalld_service_status: {
    doc: 'Open and close ports of this host as its services need.',
    role: 'pool-operator',
    poolInternal: true,
    emergency: true,
    onMember: true,
    hidden: true,
  },
  set_max_cstate: {
    doc: 'Limit how deep processors sleep; shallow sleep wakes faster and uses more power.',
    role: 'pool-operator',
    self: 'self',
    params: { value: [string, '`C` state and optional sub-state, such as `1,1`; empty for no limit.'] },
    async: true,
  },
  set_ntp_mode: {
    doc: 'Choose where time servers come from.',
    role: 'pool-operator',
    self: 'self',
    params: { value: [hostNtpMode, 'Mode; Custom needs custom servers.'] },
    async: true,
  },
  set_ntp_custom_servers: {
    doc: 'Set the time servers for mode Custom.',
    role: 'pool-operator',
    self: 'self',
    params: { value: [set(string), 'Names or addresses.'] },
    async: true,
  },
  get_ntp_servers_status: {
    doc: 'How well each time server can be used, by name.',
    role: 'read-only',
    self: 'self',
    result: stringMap,
    async: true,
  },
  set_timezone: {
    doc: "Set the time zone of the host's own clock.",
    role: 'pool-operator',
    self: 'self',
    params: { value: [string, 'One of `list_timezones`.'] },
    async: true,
  },
  list_timezones: {
    doc: 'Time zones the host knows.',
    role: 'read-only',
    self: 'self',
    result: set(string),
    async: true,
  },
  get_ntp_synchronized: {
    doc: 'Whether the clock is in step with a time server.',
    role: 'read-only',
    self: 'self',
    result: bool,
    async: true,
  },
  set_servertime: {
    doc: 'Set the clock; only while time servers are disabled.',
    role: 'pool-operator',
    self: 'self',
    params: { value: [datetime, 'Time to set, with its zone or in UTC.'] },
    async: true,
  },
} as const satisfies Messages;
