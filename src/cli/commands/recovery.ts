import type { Command } from '../command.ts';
import { CommandFailure } from '../failures.ts';

// VMs and appliances that come back out of the database that another pool keeps on a disk.

const fromDatabase = (
  name: string,
  doc: string,
  cls: string,
  method: string,
  takesForce: boolean,
): Command => ({
  ...{ name, doc, required: ['uuid'], optional: ['database:', ...(takesForce ? ['force'] : [])] },
  run: async ({ api, params }) => {
    const disk = params.map('database').get('vdi-uuid');
    if (disk === undefined)
      throw new CommandFailure('Name the disk that has the database: database:vdi-uuid=...');
    const vdi = await api.send('VDI.get_by_uuid', disk);
    const there = api.by(await api.send('VDI.open_database', vdi));
    try {
      const self = await there.send(`${cls}.get_by_uuid`, params.need('uuid'));
      const force = takesForce ? [params.flag('force')] : [];
      await there.send(`${cls}.${method}`, self, api.session, ...force);
    } finally {
      await there.send('session.logout').catch(() => {});
    }
  },
});

export const recoveryCommands: readonly Command[] = [
  fromDatabase('vm-recover', 'Brings a VM back out of a database.', 'VM', 'recover', true),
  fromDatabase(
    ...(['vm-assert-can-be-recovered', 'Says whether a VM could come back.'] as const),
    ...(['VM', 'assert_can_be_recovered', false] as const),
  ),
  fromDatabase('appliance-recover', 'Brings an appliance back.', 'VM_appliance', 'recover', true),
  fromDatabase(
    ...(['appliance-assert-can-be-recovered', 'Says whether an appliance could come back.'] as const),
    ...(['VM_appliance', 'assert_can_be_recovered', false] as const),
  ),
];
