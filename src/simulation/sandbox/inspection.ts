import { hostMeant, type Inspector, type OwnInspector, ownInspectorOf } from '../../pool/inspection.ts';
import type { Clock } from '../../std/clock.ts';
import { Fault } from '../../std/fault.ts';
import type { Replica } from '../../store/replica.ts';
import type { Store } from '../../store/store.ts';
import type { RunningHost } from './host.ts';
import type { SandboxHost } from './rows.ts';

/**
 * What the hosts of a simulated pool do now. They share one store, so there is one place in its log and no
 * link.
 */
export const sandboxInspector = (given: {
  readonly clock: Clock;
  readonly store: Store;
  readonly replica: Replica;
  readonly hosts: readonly SandboxHost[];
  readonly running: ReadonlyMap<string, RunningHost>;
}): Inspector => {
  const { clock, store, replica, hosts, running } = given;
  const [first] = hosts as readonly [SandboxHost];
  const known = new WeakMap<RunningHost, OwnInspector>();
  /** Undefined for a host that is off. */
  const ownOf = ({ name, ref }: SandboxHost): OwnInspector | undefined => {
    const host = running.get(name);
    if (host === undefined) return undefined;
    const role = ref === first.ref ? ('coordinator' as const) : ('member' as const);
    const place = () => ({ role, leader: first.ref, epoch: replica.epoch, links: [] });
    const own = known.get(host) ?? ownInspectorOf({ clock, store, replica, host: ref }, place, host.objects);
    known.set(host, own);
    return own;
  };
  const meant = (wanted: string): OwnInspector => {
    const ref = hostMeant(store, wanted, first.ref);
    const own = hosts.flatMap((host) => (host.ref === ref ? (ownOf(host) ?? []) : []))[0];
    if (own === undefined) throw new Fault('HOST_OFFLINE', [ref]);
    return own;
  };
  return {
    inspect: async (host) => meant(host).inspect(),
    messages: async (host, ref) => meant(host).messages(ref),
    all: async () => hosts.flatMap((host) => ownOf(host)?.inspect() ?? []),
  };
};
