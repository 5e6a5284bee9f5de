import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { bootstrap } from '../../actors/pool/bootstrap.ts';
import type { ScriptStorage } from '../drivers/storage/script-storage.ts';
import { catalogOf } from '../objects/catalog.ts';
import { deriveRows } from '../objects/derive-rows.ts';
import { invokerOf } from '../objects/invoke.ts';
import { type Objects, objectsOf } from '../objects/runtime.ts';
import type { Services } from '../objects/services.ts';
import type { Log } from '../std/log.ts';
import { lmdbDurable } from '../store/lmdb.ts';
import { openStore } from '../store/store.ts';
import { openAuditFile } from './audit-file.ts';
import type { Closing } from './closing.ts';
import { hostFacts } from './host-facts.ts';
import type { HostHypervisor } from './hypervisor.ts';
import { machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import type { Paths } from './paths.ts';
import { version } from './version.ts';

/** An operation that waits for others this long is refused with what it waits for. */
const operationWaitMs = 2 * 3_600_000;

export interface RuntimeParts {
  readonly paths: Paths;
  readonly log: Log;
  readonly credentials: Services['credentials'];
  readonly storage: ScriptStorage;
  readonly chosen: HostHypervisor;
  readonly restart: () => void;
}

export type Runtime = Awaited<ReturnType<typeof openRuntime>>;

export const openRuntime = async (options: UpOptions, parts: RuntimeParts, opened: Closing) => {
  const { paths, log } = parts;
  const catalog = catalogOf(classes, behaviours);
  await machine.disk.makeFolder(paths.audit);
  const audit = await openAuditFile({ ...machine, log, folder: paths.audit });
  opened.add(audit);
  let objects: Objects | undefined;
  const freeBytes = async (): Promise<bigint> => (await machine.disk.space(paths.data)).freeBytes;
  const store = openStore({
    classes,
    durable: lmdbDurable(paths.store, freeBytes),
    log,
    derive: deriveRows(catalog),
    onStaged: (changes) => objects?.staged(changes),
  });
  opened.add(store);
  const awake = objectsOf({
    catalog,
    view: store.latest,
    services: { ...machine, log },
    waitMs: operationWaitMs,
  });
  objects = awake;
  opened.add({ close: async () => awake.stop() });
  const facts = await hostFacts();
  const address = options.listen ?? '127.0.0.1';
  const { host, created } = await bootstrap({
    store,
    facts,
    ...machine,
    name: options.name ?? 'xenact',
    address: address === '0.0.0.0' || address === '::' ? '127.0.0.1' : address,
    version,
  });
  let httpsPort = Number(options['https-port']);
  const services: Services = {
    ...machine,
    log,
    hypervisor: parts.chosen.hypervisor,
    storage: parts.storage,
    credentials: parts.credentials,
    store,
    host,
    facts: hostFacts,
    authority: () => authorityOf(store.latest.get('host', host)?.address ?? address, httpsPort),
    standing: () => ({}),
    cancel: (task) => awake.cancel(task),
    restart: parts.restart,
  };
  const invoker = invokerOf({ catalog, store, objects: awake, services });
  return {
    catalog,
    store,
    objects: awake,
    services,
    invoker,
    created,
    audit,
    poolName: () => store.latest.only('pool')[1].name_label,
    /** Told once it is known: the port may have been any free one. */
    servedOn: (port: number) => {
      httpsPort = port;
    },
  };
};

const authorityOf = (address: string, port: number): string => {
  const host = address.includes(':') ? `[${address}]` : address;
  return port === 443 ? host : `${host}:${port}`;
};
