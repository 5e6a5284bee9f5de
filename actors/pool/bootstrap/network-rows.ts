import type { RecordNamed } from '../../../src/model/class.ts';
import type { NewRow } from '../../../src/objects/new-rows.ts';
import type { Tx } from '../../../src/store/view.ts';

/** Guests reach their host here; it leads nowhere else. */
const internal = {
  name_label: 'Host internal management network',
  name_description: 'A private network on which a VM can talk to the host that it runs on',
  bridge: 'xenapi',
  other_config: new Map([
    ['is_guest_installer_network', 'true'],
    ['is_host_internal_management_network', 'true'],
    ['ip_begin', '169.254.0.1'],
    ['ip_end', '169.254.255.254'],
    ['netmask', '255.255.0.0'],
  ]),
} satisfies Partial<RecordNamed<'network'>>;

export const createInternalNetwork = (tx: Tx, newRow: NewRow): void => {
  for (const [, { other_config }] of tx.all('network')) {
    if (other_config.get('is_host_internal_management_network') === 'true') return;
  }
  const row = newRow('network');
  tx.create('network', row.ref, { ...internal, uuid: row.uuid });
};
