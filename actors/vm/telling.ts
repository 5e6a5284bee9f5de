import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Working } from '../../src/objects/implement.ts';
import type { AlertName } from '../../src/rules/alerts.ts';
import { leaveAlert } from '../../src/rules/messages.ts';
import { own } from '../../src/std/own.ts';
import type { Tx, View } from '../../src/store/view.ts';
import type { VmHandlers } from './handlers.ts';

// What happened to VMs is told in messages, whose names and texts clients know.

interface VmEvent {
  readonly view: View;
  readonly self: Ref<'VM'>;
  /** The VM as it was before. */
  readonly before: RecordNamed<'VM'>;
  readonly args: { readonly new_name?: string; readonly host?: Ref<'host'> };
  readonly result: unknown;
  /** The host that did it. */
  readonly here: Ref<'host'>;
}

interface Tale {
  readonly name: AlertName;
  /** The VM that it is about, where that is not the one that was called. */
  readonly about?: (event: VmEvent) => RecordNamed<'VM'> | undefined;
  /** What comes after the name of the VM. */
  readonly text: (event: VmEvent) => string;
}

const simple = (name: AlertName, text: string): Tale => ({ name, text: () => text });

const hostNamed = (view: View, host: Ref<'host'> | undefined, quote: string): string => {
  const { name_label = '', uuid = '' } = (host && view.get('host', host)) ?? {};
  return `${quote}${name_label}${quote} (uuid: ${uuid})`;
};

const started: Tale = {
  name: 'VM_STARTED',
  text: ({ view, here }) => `started on host: ${hostNamed(view, here, '')}`,
};
const resumed: Tale = {
  name: 'VM_RESUMED',
  text: ({ view, here }) => `resumed on host: ${hostNamed(view, here, '')}`,
};

const tales: Readonly<Partial<Record<keyof VmHandlers, Tale>>> = {
  start: started,
  start_on: started,
  resume: resumed,
  resume_on: resumed,
  clean_shutdown: simple('VM_SHUTDOWN', 'shutdown'),
  shutdown: simple('VM_SHUTDOWN', 'shutdown'),
  hard_shutdown: simple('VM_SHUTDOWN', 'shutdown forcibly'),
  clean_reboot: simple('VM_REBOOTED', 'rebooted cleanly'),
  hard_reboot: simple('VM_REBOOTED', 'rebooted forcibly'),
  pause: simple('VM_PAUSED', 'paused'),
  unpause: simple('VM_UNPAUSED', 'unpaused'),
  suspend: simple('VM_SUSPENDED', 'suspended'),
  snapshot: { name: 'VM_SNAPSHOTTED', text: ({ args }) => `snapshotted, snapshot name: ${args.new_name}` },
  checkpoint: {
    name: 'VM_CHECKPOINTED',
    text: ({ args }) => `checkpointed, snapshot name: ${args.new_name}`,
  },
  revert: {
    name: 'VM_SNAPSHOT_REVERTED',
    about: ({ view, before, self }) =>
      view.get('VM', view.get('VM', self)?.snapshot_of ?? before.snapshot_of),
    text: ({ before }) => `reverted to snapshot: ${before.name_label} (uuid ${before.uuid})`,
  },
  clone: {
    name: 'VM_CLONED',
    text: ({ view, result }) => `cloned (new uuid: ${view.get('VM', result as Ref<'VM'>)?.uuid ?? ''})`,
  },
  pool_migrate: {
    name: 'VM_MIGRATED',
    text: ({ view, here, args }) =>
      `migrated from host ${hostNamed(view, here, "'")} to host ${hostNamed(view, args.host, "'")}`,
  },
};

const tell = (
  tx: Tx,
  { self, services }: Working<'VM'>,
  tale: Tale,
  about: Omit<VmEvent, 'view' | 'self'>,
): void => {
  const event = { ...about, view: tx, self };
  const { uuid, name_label } = tale.about?.(event) ?? event.before;
  const { name } = tale;
  const body = `VM '${name_label}' (uuid: ${uuid}) ${tale.text(event)}`;
  leaveAlert(tx, services, { name, cls: 'VM', obj_uuid: uuid, body });
};

/** The handlers, each of which leaves its message in the commit that settles its work. */
export const telling = <H extends VmHandlers>(handlers: H): H => {
  const all = Object.entries(handlers).map(([message, handler]) => {
    const tale = own<Tale | undefined>(tales, message);
    if (tale === undefined || handler === undefined || !('work' in handler)) return [message, handler];
    const work = async (working: Working<'VM'>, args: never): Promise<unknown> => {
      const before = working.record;
      const result: unknown = await (handler.work as typeof work)(working, args);
      const here = working.services.host;
      working.settle((tx) => tell(tx, working, tale, { before, args, result, here }));
      return result;
    };
    return [message, { ...handler, work }];
  });
  return Object.fromEntries(all) as H;
};
