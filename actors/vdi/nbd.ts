import type { Ref } from '../../src/model/types.ts';
import type { ActionHandler, Reading } from '../../src/objects/implement.ts';
import type { Agreed } from '../../src/rules/nbd/options.ts';
import { nbdPeer } from '../../src/rules/nbd/peer.ts';
import { serveDisk } from '../../src/rules/nbd/serving.ts';
import { openDisk } from '../../src/rules/open-disk.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Struct, struct } from '../../src/std/value.ts';
import { vdiRefusal } from './admission.ts';
import { bytesRefusal } from './images.ts';

interface Connecting extends Agreed {
  readonly option: bigint;
}

/** A disk for one client of NBD, which reads of it what it likes, until it or its session ends. */
export const connectNbd = {
  operation: 'copy',
  unless: (view, self) => bytesRefusal(view, self, 'copy'),
  stream: async ({ self, services, signal, record }, { option, ...agreed }, client) => {
    const disk = await openDisk(services, { vdi: self, how: 'read', operation: 'nbd' }, signal);
    try {
      const stream = await client.open();
      const end = (): void => void stream.destroy();
      signal.addEventListener('abort', end, { once: true });
      const isName = (name: string): boolean => name.includes(record.uuid);
      await serveDisk(nbdPeer(stream), disk, { option: Number(option), agreed }, isName).finally(() => {
        signal.removeEventListener('abort', end);
        stream.end();
      });
    } finally {
      await disk.close();
    }
  },
} satisfies ActionHandler<'VDI', Connecting>;

/** Where this host serves the disk: on its networks that are meant for it, over TLS. */
export const nbdInfo = ({ view, self, caller, services }: Reading): readonly Struct[] => {
  const vdi = self as Ref<'VDI'>;
  const record = view.require('VDI', vdi);
  if (record.type === 'cbt_metadata')
    throw vdiRefusal(view, vdi, 'copy') ?? new Fault('VDI_INCOMPATIBLE_TYPE', [vdi]);
  const server = services.nbd?.();
  if (server === undefined) return [];
  const { address, PIFs } = view.require('host', services.host);
  const addresses = PIFs.flatMap((ref) => {
    const pif = view.get('PIF', ref);
    const isMeant = pif?.currently_attached && view.get('network', pif.network)?.purpose.includes('nbd');
    if (pif === undefined || !isMeant) return [];
    const own = pif.management ? address : pif.IP;
    return own === '' ? [] : [own];
  });
  const exportname = `/${record.uuid}?session_id=${caller.session}`;
  const { port, cert, subject } = server;
  return addresses.map((at) => struct({ exportname, address: at, port: BigInt(port), cert, subject }));
};
