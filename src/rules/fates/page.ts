import { page, table } from '../../model/docs.ts';
import { own } from '../../std/own.ts';
import { deviceOrigins, pvsProxyFates, vbdFates, vgpuFates, vifFates, vtpmFates } from './devices.ts';
import { guestMetricsFates, metricsOrigins, vmMetricsFates } from './metrics.ts';
import { vdiFates, vdiOrigins } from './vdi.ts';
import { vmFates, vmOrigins } from './vm.ts';

type Table = Readonly<Record<string, Readonly<Record<string, string>>>>;

const part = (title: string, origins: readonly string[], fates: Table): readonly string[] => [
  `## ${title}`,
  table(
    ['Field', ...origins, 'Why'],
    Object.entries(fates).map(([field, cells]) => [
      `\`${field}\``,
      ...origins.map((origin) => own(cells, origin) ?? ''),
      cells['why'] ?? '',
    ]),
  ),
];

/** What becomes of each field, as clients and administrators read it. */
export const fatesPage = (): string =>
  page([
    '# What becomes of each field',
    'Generated from `src/rules/fates` by `npm run docs`: the tables that the code itself reads ' +
      'when it makes, ' +
      'copies or puts back a VM or a disk.',
    '**copied**: as the original has it, or as the client gave it to a constructor; for ' +
      '`revert` and `revive`, as ' +
      'the VM had it when the snapshot was taken. **default**: as in a new object. **made**: by ' +
      'the operation, as ' +
      'the last column says. **kept**: nothing happens to it. **derived**: follows from other objects.',
    '`copy` is `VM.copy` or `VDI.copy`, with disks of their own; `revive` is `VM.revert` to a ' +
      'snapshot whose VM was ' +
      'deleted: the VM comes back under its uuid. A name of an object that is gone by then names nothing.',
    ...part('VM', vmOrigins, vmFates),
    '## What hangs on a VM',
    'Drives, network cards, virtual GPUs and TPMs are made anew for each copy; a revert ' +
      'replaces those of the VM by ' +
      'copies of those of the snapshot. USB devices are not copied, and gone after a revert. ' +
      '`clone` stands for ' +
      'clones and full copies, `snapshot` for snapshots and checkpoints.',
    'A revert replaces the disks that the snapshot was taken of, and destroys those that are ' +
      'replaced. A disk that ' +
      'the snapshot does not have, or that another VM has in a drive, is never destroyed: the VM ' +
      'only loses its ' +
      'drive. Snapshots of a disk that was replaced are snapshots of the new one from then on.',
    ...part('VBD', deviceOrigins, vbdFates),
    ...part('VIF', deviceOrigins, vifFates),
    ...part('VGPU', deviceOrigins, vgpuFates),
    ...part('VTPM', deviceOrigins, vtpmFates),
    ...part('PVS_proxy', deviceOrigins, pvsProxyFates),
    ...part('VM_metrics', metricsOrigins, vmMetricsFates),
    ...part('VM_guest_metrics', metricsOrigins, guestMetricsFates),
    ...part('VDI', vdiOrigins, vdiFates),
  ]);
