import { jsonCall } from '../../../src/codec/jsonrpc-writer.ts';
import type { XenopsMetadata } from '../../../src/drivers/hypervisor/hypervisor.ts';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import type { Ref } from '../../../src/model/types.ts';
import { type Sandbox, sandboxOf } from '../../../src/simulation/sandbox/sandbox.ts';
import type { Clock } from '../../../src/std/clock.ts';
import { silentLog } from '../../../src/std/log.ts';
import { own } from '../../../src/std/own.ts';
import type { Value } from '../../../src/std/value.ts';
import type { Tx } from '../../../src/store/view.ts';
import { type Doors, doorsTo, type HttpReply } from '../../edge/served.ts';
import type { Case } from '../cases.ts';
import type { Adapter } from '../subject.ts';

// A pool with simulated guests and disks behind the HTTP server of its coordinator: whatever a case asks for is
// asked as clients ask, and really done.

export interface Lab {
  readonly sandbox: Sandbox;
  readonly hosts: readonly Ref<'host'>[];
  /** Commits rows directly: states that no call leads to, or none that lasts. */
  rows(write: (tx: Tx) => void): Promise<void>;
  /** The result of a call of the superuser, or `{ error }`; odd ones are asked over XML-RPC. */
  ask(method: string, ...params: readonly Value[]): Promise<any>;
  /** A request of the superuser for an action, such as `/export_raw_vdi?vdi=...`. */
  http(method: string, path: string, body?: Uint8Array): Promise<HttpReply>;
  /** Clients that are not the superuser. */
  readonly doors: Doors;
  /** A halted VM of its own for the case, of a template as clients make them. */
  newVm(fields?: Record<string, unknown>): Promise<Ref<'VM'>>;
  /** What the daemon of the host that a VM runs on was told about it. */
  told(vm: Ref<'VM'>): Promise<XenopsMetadata>;
  close(): Promise<void>;
}

export interface LabOptions {
  readonly hosts?: number;
  readonly clock?: Clock;
}

/** Characters that XML has no way to say, as JSON says them. */
const controls = /\\(b|f|u00[01])/;

const template = 'Debian Bookworm 12';

const open = async ({ hosts = 1, clock = nodeClock }: LabOptions): Promise<Lab> => {
  const sandbox = await sandboxOf({
    ...{ size: { hosts, vms: 0, srs: 1 }, seed: 'cases', name: 'cases', latencyMs: [0, 0], silentMs: 10 },
    ...{ clock, log: silentLog, address: '127.0.0.1', authority: () => '127.0.0.1', version: '1' },
    credentials: { verify: async (_, password) => password !== 'no', setPassword: async () => {} },
  });
  const { store, catalog } = sandbox;
  const { services, invoker } = sandbox.coordinator;
  const doors = await doorsTo({ catalog, store, services, invoker }, silentLog);
  const root = await doors.session();
  let calls = 0;
  const ask: Lab['ask'] = async (method, ...params) => {
    calls += 1;
    const unsaid = controls.test(jsonCall(method, [...params], 1n));
    const reply = await (calls % 2 === 0 || unsaid ? doors.json : doors.xml)(method, root, ...params);
    return 'error' in reply ? reply : reply.value;
  };
  let vms = 0;
  return {
    sandbox,
    hosts: sandbox.hosts.map(({ ref }) => ref),
    rows: async (write) => void (await store.commit(write)),
    ask,
    doors,
    http: (method, path, body = new Uint8Array()) =>
      doors.http(method, `${path}&session_id=${root}`, { body }),
    newVm: async (fields = {}) => {
      vms += 1;
      const [, { ...like }] = [...store.committed.all('VM')].find(
        ([, vm]) => vm.name_label === template,
      ) as any;
      const vm = `OpaqueRef:vm-${vms}` as Ref<'VM'>;
      const theirs = {
        uuid: `vm-${vms}`,
        name_label: `vm ${vms}`,
        is_a_template: false,
        other_config: new Map(),
      };
      for (const related of ['VBDs', 'VIFs', 'consoles', 'allowed_operations']) delete like[related];
      await store.commit((tx) => tx.create('VM', vm, { ...like, ...theirs, ...fields }));
      return vm;
    },
    told: (vm) => {
      const { resident_on, uuid } = store.committed.require('VM', vm);
      return sandbox.runningAt(resident_on).guests.exportMetadata(uuid, 'cases');
    },
    close: async () => {
      await doors.close();
      await sandbox.close();
    },
  };
};

/** A script whose cases share one pool, which ends with the last of them. */
export const inLab = (
  script: (lab: Lab, one: Case) => Promise<unknown>,
  options: LabOptions = {},
): Adapter => {
  let opened: Promise<Lab> | undefined;
  const put = async (one: Case): Promise<unknown> => {
    opened ??= open(options);
    return script(await opened, one);
  };
  const close = async (): Promise<void> => {
    const lab = await opened;
    opened = undefined;
    await lab?.close();
  };
  return Object.assign(put, { close });
};

/** One script for each `call` of a subject that has several. */
export const scripts =
  (all: Readonly<Record<string, (lab: Lab, one: Case) => Promise<unknown>>>) =>
  (lab: Lab, one: Case): Promise<unknown> => {
    const script = own(all, String(one.when['call']));
    if (script === undefined) throw new Error(`no script asks for "${one.when['call']}"`);
    return script(lab, one);
  };
