// Goal: a VM that is handed over to a host where it ended before is found out: its daemon is asked to tell again.
// Method: rows that change, as a store tells of them, and what a host asks its daemon.
import { expect, test } from 'vitest';
import { vmReports } from '../../actors/vm/reports.ts';
import type { Change } from '../../src/store/version.ts';

const changeOf = (cls: string, before: object | undefined, after: object | undefined): Change =>
  ({
    entry: { cls, ref: 'OpaqueRef:vm' },
    before: before && { record: before },
    after: after && { record: after },
  }) as unknown as Change;

test('only of VMs that come from another host by its word is told again', () => {
  const asked: string[] = [];
  const hypervisor = { reportAgain: (uuid: string) => asked.push(uuid) };
  const { onRows } = vmReports({ services: { host: 'here', hypervisor } } as never);
  const [there, here] = [
    { uuid: 'a', resident_on: 'there', domid: -1n },
    { uuid: 'a', resident_on: 'here', domid: -1n },
  ];
  onRows([changeOf('VM', there, here)]);
  expect(asked).toEqual(['a']);
  onRows([
    changeOf('VM', here, { ...here, name_label: 'other' }),
    changeOf('VM', there, { ...here, domid: 7n }),
    changeOf('VM', here, there),
    changeOf('VM', here, undefined),
    changeOf('VBD', there, here),
  ]);
  expect(asked).toEqual(['a']);
  onRows([changeOf('VM', undefined, here)]);
  expect(asked).toEqual(['a', 'a']);
});
