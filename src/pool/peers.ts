import type { PeerRow } from '../mesh/peer.ts';
import type { Change } from '../store/version.ts';
import { type PoolContext, peerRef } from './context.ts';
import type { PeerRecord } from './rows.ts';
import { toldOf } from './state.ts';

/**
 * Keeps the links of the mesh in line with the rows, and with what a new member was told before it had any.
 */
export const linkPeers = ({ store, mesh, state, host }: PoolContext): { stop(): void } => {
  const update = (): void => {
    const rows = new Map<string, PeerRow>();
    for (const { host: told, address, port, pins } of toldOf(state.current)) {
      rows.set(told, { host: told, address: { host: address, port }, pins });
    }
    for (const [ref, { address, port, pins }] of store.committed.all('xenact_peer')) {
      rows.set(ref, { host: ref, address: { host: address, port: Number(port) }, pins });
    }
    rows.delete(host);
    mesh.setPeers([...rows.values()]);
  };
  update();
  return {
    stop: store.watch((changes) => {
      if (changes.some(isMove)) update();
    }),
  };
};

const reaching = ['address', 'port', 'pins'] as const;

/**
 * Whether a change of the row is one of how the host is reached. Its row also has the number of its last
 * proposal, which makes no difference to that.
 */
const isMove = ({ entry, changed }: Change): boolean =>
  entry.cls === 'xenact_peer' && (changed === undefined || reaching.some((field) => changed.has(field)));

export type OwnPeer = Pick<PeerRecord, 'address' | 'port' | 'pins' | 'apiPort'>;

/** Tells the other hosts how this one is reached. */
export const announce = async ({ store, host }: PoolContext, own: OwnPeer): Promise<void> => {
  const ref = peerRef(host);
  await store.commit((tx) => {
    if (tx.get('xenact_peer', ref) === undefined) tx.create('xenact_peer', ref, { host, ...own });
    else tx.patch('xenact_peer', ref, { ...own, dead: false });
  });
};
