import type { Ref } from '../../src/model/types.ts';
import type { ActionHandler, Reading } from '../../src/objects/implement.ts';
import { isLive } from '../../src/objects/places.ts';
import type { NbdServer, Services } from '../../src/objects/services.ts';
import type { Agreed } from '../../src/rules/nbd/options.ts';
import { nbdPeer } from '../../src/rules/nbd/peer.ts';
import { serveDisk } from '../../src/rules/nbd/serving.ts';
import { openDisk } from '../../src/rules/open-disk.ts';
import { pbdOf } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import { type Struct, struct } from '../../src/std/value.ts';
import type { View } from '../../src/store/view.ts';
import { vdiRefusal } from './admission.ts';
import { bytesRefusal } from './images.ts';

/** Tells the other hosts where this one serves disks, once it listens. */
export const tellOfNbd = async ({ store, host, nbd }: Services): Promise<void> => {
  const server = nbd?.();
  if (server === undefined) return;
  const { port, cert, subject } = server;
  const nbd_server = new Map(Object.entries({ port: `${port}`, cert, subject }));
  await store.commit((tx) => {
    if (tx.get('host', host) !== undefined) tx.patch('host', host, { nbd_server });
  });
};

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

/** Where a host serves disks, as it has told the others. */
const serverOf = ({ view, services }: Reading, host: Ref<'host'>): NbdServer | undefined => {
  if (host === services.host) return services.nbd?.();
  const { nbd_server: told } = view.require('host', host);
  const [port, cert, subject] = ['port', 'cert', 'subject'].map((key) => told.get(key));
  if (port === undefined || cert === undefined || subject === undefined) return undefined;
  return { port: Number(port), cert, subject };
};

/** Addresses of a host on networks that are meant for NBD. */
const addressesOf = (view: View, host: Ref<'host'>): readonly string[] => {
  const { address, PIFs } = view.require('host', host);
  return PIFs.flatMap((ref) => {
    const pif = view.get('PIF', ref);
    const isMeant = pif?.currently_attached && view.get('network', pif.network)?.purpose.includes('nbd');
    if (pif === undefined || !isMeant) return [];
    const own = pif.management ? address : pif.IP;
    return own === '' ? [] : [own];
  });
};

/**
 * Where the disk is served over TLS: by each host that reaches it, on its networks that are meant for it.
 * Where none of them can, the host that is asked passes on what one of them has.
 */
export const nbdInfo = (reading: Reading): readonly Struct[] => {
  const { view, self, caller, services } = reading;
  const vdi = self as Ref<'VDI'>;
  const record = view.require('VDI', vdi);
  if (record.type === 'cbt_metadata')
    throw vdiRefusal(view, vdi, 'copy') ?? new Fault('VDI_INCOMPATIBLE_TYPE', [vdi]);
  const exportname = `/${record.uuid}?session_id=${caller.session}`;
  const servedBy = (host: Ref<'host'>): readonly Struct[] => {
    const server = serverOf(reading, host);
    if (server === undefined) return [];
    const { port, cert, subject } = server;
    return addressesOf(view, host).map((address) =>
      struct({ exportname, address, port: BigInt(port), cert, subject }),
    );
  };
  const reached = [...view.all('host')].flatMap(([host]) =>
    isLive(view, host) && pbdOf(view, record.SR, host) !== undefined ? servedBy(host) : [],
  );
  return reached.length > 0 ? reached : servedBy(services.host);
};
