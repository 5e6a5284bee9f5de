import { smRows } from '../../actors/sm/rows.ts';
import { claimedFeatures } from '../../src/drivers/storage/claims.ts';
import type { WireMessage } from '../../src/model/derive.ts';
import type { Case } from './cases.ts';
import { admitting, argumentsFor, asked, compared, messagesFor, putRows } from './scripts/admitting.ts';
import { inLab } from './scripts/lab.ts';
import type { Live } from './scripts/live.ts';
import { sr, storageRows, vdi } from './storage-rows.ts';
import { type Adapter, against, skip } from './subject.ts';
import type { Rows } from './vm-rows.ts';

export const vdiOperation: Adapter = admitting(async (at, { given, when, then }) => {
  const rows = storageRows(given, true);
  await putRows(at, rows);
  const found: Record<string, unknown> = {};
  for (const message of messagesFor(at, 'VDI', when['operation'])) {
    found[message.method] = await asked(at, message.method, argumentsFor(rows, message));
  }
  return compared(found, () => then);
});

/** Operations of a repository that are asked for by messages of others, about the repository alone. */
const onSr = (at: Live, { PBD = {} }: Rows, operation: string): readonly WireMessage[] => {
  if (operation.startsWith('vdi_')) return messagesFor(at, 'VDI', operation);
  const isOfPbd = Object.keys(PBD).length > 0 && /^(plug|unplug|pbd_.*)$/.test(operation);
  const name = operation.replace('pbd_', '');
  const message = isOfPbd ? at.host.world.catalog.find(`PBD.${name}`) : undefined;
  return [...messagesFor(at, 'SR', operation), ...(message === undefined ? [] : [message])];
};

const running = (given: Case['given']): string =>
  Object.values<string>(given['SR.current_operations'] ?? {}).join();

/** What a repository is busy with as a whole keeps its disks waiting; disks do not wait for each other. */
const onItsDisk = async (at: Live, given: Case['given'], operation: string) => {
  const name = operation.replace('vdi_', '').replace('mirror', 'pool_migrate');
  const ofSnapshots = name === 'revert' || name === 'data_destroy';
  const disk = ofSnapshots ? { 'VDI.is_a_snapshot': true, 'VDI.cbt_enabled': true } : {};
  const rows = storageRows({ ...given, ...disk }, true);
  const method = `VDI.${name}`;
  const message = at.host.world.catalog.find(method) ?? skip(`${method} is not a message`);
  await putRows(at, rows);
  return [method, await asked(at, method, argumentsFor(rows, message))] as const;
};

export const srOperation: Adapter = admitting(async (at, { given, when, then }) => {
  const operation: string = when['operation'];
  const rows = storageRows(given, false);
  await putRows(at, rows);
  const found: Record<string, unknown> = {};
  for (const message of onSr(at, rows, operation)) {
    found[message.method] = await asked(at, message.method, argumentsFor(rows, message));
  }
  const listed = (await at.tried('SR.get_allowed_operations', sr)) as string[];
  found['SR.get_allowed_operations'] = { allowed: listed.includes(operation) };
  const waits = then['error']?.[0] === 'OTHER_OPERATION_IN_PROGRESS';
  if (waits && operation.startsWith('vdi_') && !running(given).startsWith('vdi_')) {
    const [method, answer] = await onItsDisk(at, given, operation);
    found[method] = answer;
  }
  return compared(found, (name) =>
    name === 'SR.get_allowed_operations' ? { allowed: then['allowed'] } : then,
  );
});

const allowed = (cls: 'SR' | 'VDI', self: string): Adapter =>
  admitting(async (at, { given, then }) => {
    await putRows(at, storageRows(given, cls === 'VDI'));
    const found = (await at.tried(`${cls}.get_allowed_operations`, self)) as string[];
    return against([...found].sort(), [...then[`${cls}.allowed_operations (as a set)`]].sort());
  });

export const srAllowed = allowed('SR', sr);
export const vdiAllowed = allowed('VDI', vdi);

/** What the row of a driver says, once the driver was asked what it can do. */
export const smFeatures = inLab(async (lab, { when }) => {
  const { invoker, services } = lab.sandbox.coordinator;
  const [like] = await services.storage.plugins();
  if (like === undefined) return { 'no driver': true };
  const driver = { ...like, type: 'claiming', features: claimedFeatures(when['features']) };
  const plugins = async () => [driver];
  await smRows({ invoker, services: { ...services, storage: { ...services.storage, plugins } } });
  const rows = Object.values<any>(Object.fromEntries(await lab.ask('SM.get_all_records')));
  const features = rows.find((row) => row.get('type') === driver.type)?.get('features');
  return {
    'parsed (sorted, unknown dropped, duplicates merged)': [...features]
      .map(([name, version]: [string, unknown]) => [name, Number(version)])
      .toSorted(),
  };
});
