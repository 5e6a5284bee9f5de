import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement, type Working } from '../../src/objects/implement.ts';
import { newBlob } from '../../src/rules/blobs.ts';
import { requireOwnRepository } from '../../src/rules/driver-rights.ts';
import { storageCall } from '../../src/rules/storage-call.ts';
import { asking } from '../../src/rules/storage-faults.ts';
import { figuresOf, hostOfSr, pbdOf, writesRows } from '../../src/rules/storage-rows.ts';
import { Fault } from '../../src/std/fault.ts';
import { admitOnSr, allowedOnSr } from './admission.ts';
import { SR } from './class.ts';
import { create, introduce } from './create.ts';
import { destroy, forgetRows, indestructible } from './end.ts';
import { probe, probeExt } from './probe.ts';
import { allocated, reconcile } from './reconcile.ts';

const requireReached = ({ view, self, services }: Working<'SR'>): void => {
  if (pbdOf(view, self, services.host) === undefined) throw new Fault('SR_HAS_NO_PBDS', [self]);
};

const scan = async (working: Working<'SR'>): Promise<void> => {
  requireReached(working);
  const { self, record, services } = working;
  const scanned = await asking({ sr: self, operation: 'scan' }, () =>
    services.storage.scanSr(record.uuid, storageCall(working, 'SR.scan')),
  );
  if (scanned.written) return;
  working.settle((tx) => reconcile(tx, self, scanned, services));
};

const update = async (working: Working<'SR'>): Promise<void> => {
  requireReached(working);
  const { self, record, services } = working;
  const stat = await asking({ sr: self, operation: 'update' }, () =>
    services.storage.updateSr(record.uuid, storageCall(working, 'SR.update')),
  );
  working.settle((tx) => {
    if (writesRows(tx, record.type)) return;
    tx.patch('SR', self, { ...figuresOf(stat), virtual_allocation: allocated(tx, self) });
  });
};

const setShared = ({ tx, self }: Deciding, shared: boolean): void => {
  const sr = self as Ref<'SR'>;
  if (!shared && tx.require('SR', sr).PBDs.length > 1) throw new Fault('SR_HAS_MULTIPLE_PBDS', [sr]);
  tx.patch('SR', sr, { shared });
};

const setFigure = ({ tx, self, caller }: Deciding, figure: Partial<RecordNamed<'SR'>>): void => {
  const sr = self as Ref<'SR'>;
  if (caller.driverOf !== undefined) requireOwnRepository(caller, sr);
  tx.patch('SR', sr, figure);
};

export default implement(
  SR,
  {
    home: hostOfSr,
    admit: admitOnSr,
    derive: (view, self) => ({ allowed_operations: allowedOnSr(view, self) }),
  },
  {
    create: { work: create },
    introduce: { decide: introduce },
    destroy: { operation: 'destroy', unless: indestructible, work: destroy },
    forget: {
      operation: 'forget',
      unless: indestructible,
      offline: true,
      work: async ({ self, settle }) => settle((tx) => forgetRows(tx, self)),
    },
    scan: { operation: 'scan', work: scan },
    update: { operation: 'update', work: update },
    probe: { work: probe },
    probe_ext: { work: probeExt },
    get_supported_types: { read: ({ view }) => [...view.all('SM')].map(([, { type }]) => type) },
    set_shared: { decide: (deciding, { value }) => setShared(deciding, value) },
    set_name_label: {
      decide: ({ tx, self }, { value }) => tx.patch('SR', self as Ref<'SR'>, { name_label: value }),
    },
    set_name_description: {
      decide: ({ tx, self }, { value }) => tx.patch('SR', self as Ref<'SR'>, { name_description: value }),
    },
    set_physical_size: { decide: (deciding, { value }) => setFigure(deciding, { physical_size: value }) },
    set_virtual_allocation: {
      decide: (deciding, { value }) => setFigure(deciding, { virtual_allocation: value }),
    },
    set_physical_utilisation: {
      decide: (deciding, { value }) => setFigure(deciding, { physical_utilisation: value }),
    },
    create_new_blob: newBlob('SR'),
    get_live_hosts: {
      read: ({ view, self }) =>
        view
          .require('SR', self as Ref<'SR'>)
          .PBDs.map((ref) => view.require('PBD', ref))
          .filter(({ currently_attached }) => currently_attached)
          .map(({ host }) => host),
    },
    // No driver of ours keeps the pool's database, so no repository supports it.
    assert_supports_database_replication: {
      decide: ({ self }) => {
        throw new Fault('SR_OPERATION_NOT_SUPPORTED', [self]);
      },
    },
  },
);
