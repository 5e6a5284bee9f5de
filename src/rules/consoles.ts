import type { Duplex } from 'node:stream';
import type { Hypervisor, XenopsConsole } from '../drivers/hypervisor/hypervisor.ts';
import type { Network } from '../drivers/network.ts';
import type { Ref } from '../model/types.ts';
import { faultOf } from '../objects/driver-faults.ts';
import { Fault } from '../std/fault.ts';
import type { Store } from '../store/store.ts';
import type { View } from '../store/view.ts';

export interface ConsoleSources {
  readonly store: Store;
  readonly hypervisor: Hypervisor;
}

/** How consoles of this host are reached. */
export interface ConsoleWays extends ConsoleSources {
  readonly network: Pick<Network, 'connect'>;
}

const dialMs = 5_000;

/** What a console's row calls a protocol of the hypervisor. */
export const protocolNames = { Rfb: 'rfb', Vt100: 'vt100' } as const;

interface Wanted {
  readonly vm: Ref<'VM'>;
  /** Undefined: the screen if there is one, else the terminal. */
  readonly protocol: string | undefined;
}

const named = <C extends 'console' | 'VM'>(view: View, cls: C, name: string): Ref<C> | undefined =>
  view.get(cls, name as Ref<C>) === undefined ? view.byUuid(cls, name) : (name as Ref<C>);

const wantedOf = (view: View, name: string): Wanted => {
  const shown = named(view, 'console', name);
  const row = shown && view.get('console', shown);
  if (row !== undefined) return { vm: row.VM, protocol: row.protocol };
  const vm = named(view, 'VM', name);
  if (vm !== undefined) return { vm, protocol: undefined };
  throw new Fault('HANDLE_INVALID', ['console', name]);
};

/** The console of a host, which is its control domain's, and not of a guest. */
export const isOfHost = (view: View, name: string): boolean =>
  view.get('VM', wantedOf(view, name).vm)?.is_control_domain === true;

/**
 * Where the bytes of a console are on this host: `name` is the reference or the uuid of a console or of
 * a VM. The hypervisor is asked each time, since sockets move with each boot of the guest. `only` refuses
 * consoles that speak anything else.
 */
export const consoleEndpoint = async (
  { store, hypervisor }: ConsoleSources,
  name: string,
  only?: 'rfb',
): Promise<XenopsConsole> => {
  const view = store.committed;
  const { vm, protocol = only } = wantedOf(view, name);
  if (only !== undefined && protocol !== only) throw new Fault('HANDLE_INVALID', ['console', name]);
  const { uuid } = view.require('VM', vm);
  const state = await hypervisor.stat(uuid).catch((error: unknown) => {
    throw faultOf(error, { ref: vm, task: '', vmOf: (other) => view.byUuid('VM', other) ?? other });
  });
  if (state === undefined || state.domids.length === 0) {
    const actual = view.get('VM', vm)?.power_state.toLowerCase() ?? 'halted';
    throw new Fault('VM_BAD_POWER_STATE', [vm, 'running', actual]);
  }
  const found =
    protocol === undefined
      ? (state.consoles.find((one) => one.protocol === 'Rfb') ?? state.consoles[0])
      : state.consoles.find((one) => protocolNames[one.protocol] === protocol);
  if (found === undefined) throw new Fault('HANDLE_INVALID', ['console', name]);
  return found;
};

/** The VM that a console shows. */
export const consoleVm = (view: View, name: string): Ref<'VM'> => wantedOf(view, name).vm;

/** The bytes of a console on this host. */
export const connectConsole = async (ways: ConsoleWays, name: string, only?: 'rfb'): Promise<Duplex> => {
  const { path, port } = await consoleEndpoint(ways, name, only);
  const endpoint = path === '' ? { host: '127.0.0.1', port } : { socketPath: path };
  return ways.network.connect(endpoint, { timeoutMs: dialMs });
};
