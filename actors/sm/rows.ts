import type { StoragePlugin } from '../../src/drivers/storage/storage.ts';
import type { Ref } from '../../src/model/types.ts';
import type { Invoker } from '../../src/objects/invoke.ts';
import type { Services } from '../../src/objects/services.ts';
import { newRef } from '../../src/objects/tasks.ts';
import type { Tx } from '../../src/store/view.ts';
import { knownFeatures } from './features.ts';

/**
 * Makes the SM rows agree with the plugins of this host: missing ones appear, changed ones are
 * corrected, and those whose plugin is gone vanish once no repository needs them.
 */
export const smRows = async (by: {
  readonly invoker: Invoker;
  readonly services: Services;
}): Promise<void> => {
  const plugins = await by.services.storage.plugins();
  const [pool, { master }] = by.services.store.latest.only('pool');
  const reconcile = master === by.services.host ? reconcileAll : addMissing;
  // Drivers belong to the pool, so their rows are changed in its turn.
  await by.invoker.decide('pool', pool, (tx) => reconcile(tx, plugins, by.services));
};

const reconcileAll = (tx: Tx, plugins: readonly StoragePlugin[], services: Services): void => {
  const rows = new Map([...tx.all('SM')].map(([ref, { type }]) => [type, ref] as const));
  for (const plugin of plugins) {
    const ref = rows.get(plugin.type);
    rows.delete(plugin.type);
    if (ref !== undefined) tx.patch('SM', ref, facts(plugin));
    else tx.create('SM', newRef<'SM'>(services), { uuid: services.random.uuid(), ...facts(plugin) });
  }
  const used = new Set([...tx.all('SR')].map(([, { type }]) => type));
  for (const [type, ref] of rows) if (!used.has(type)) tx.delete('SM', ref as Ref<'SM'>);
};

/** The rows tell of the coordinator's plugins; a member only adds what nobody else has. */
const addMissing = (tx: Tx, plugins: readonly StoragePlugin[], services: Services): void => {
  const known = new Set([...tx.all('SM')].map(([, { type }]) => type));
  for (const plugin of plugins) {
    if (known.has(plugin.type)) continue;
    tx.create('SM', newRef<'SM'>(services), { uuid: services.random.uuid(), ...facts(plugin) });
  }
};

const facts = (plugin: StoragePlugin) => {
  const features = knownFeatures(plugin.features);
  return {
    name_label: plugin.name,
    name_description: plugin.description,
    type: plugin.type,
    vendor: plugin.vendor,
    copyright: plugin.copyright,
    version: plugin.version,
    required_api_version: plugin.requiredApiVersion,
    configuration: plugin.configuration,
    features,
    capabilities: [...features.keys()],
    driver_filename: plugin.driverFilename,
    required_cluster_stack: plugin.requiredClusterStack,
  };
};
