// Goal: a VM has at most one TPM, made and taken away while it does not run, and what the guest keeps in it is
//   a secret that ends with it; where nobody serves a TPM none is made, and none is left out in silence.
// Method: a host behind its HTTP server, in a pool that offers TPMs or does not.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { restrictions } from '../../actors/pool/bootstrap/identity.ts';
import { assumedCapabilities, capabilityNumbers } from '../../src/drivers/capabilities.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Served, served } from '../edge/served.ts';

let host: Served;
let root: Ref<'session'>;
const vm = 'vm' as Ref<'VM'>;
const cpu = { VCPUs_max: 1n, VCPUs_at_startup: 1n };

const offered = (restrict_vtpm: string): Promise<void> =>
  host.world.store
    .commit((tx) =>
      tx.patch('pool', host.world.pool, { restrictions: new Map([['restrict_vtpm', restrict_vtpm]]) }),
    )
    .then(() => {});

beforeEach(async () => {
  host = await served({ behaviours });
  root = await host.session();
  await offered('false');
  await host.world.store.commit((tx) => tx.create('VM', vm, { uuid: 'vm', domain_type: 'hvm', ...cpu }));
});
afterEach(() => host.close());

const power = (power_state: 'Running' | 'Halted' | 'Suspended') =>
  host.world.store.commit((tx) => tx.patch('VM', vm, { power_state }));
const secrets = (): readonly string[] =>
  [...host.world.store.committed.all('secret')].map(([, { value }]) => value);
const create = async (): Promise<Ref<'VTPM'>> => host.call('VTPM.create', root, vm, false);

test('A TPM comes empty, keeps what it is given as one secret, and takes it along', async () => {
  const vtpm = await create();
  expect(await host.call('VM.get_VTPMs', root, vm)).toEqual([vtpm]);
  expect(await host.call('VTPM.get_allowed_operations', root, vtpm)).toEqual(['destroy']);
  expect(secrets()).toEqual(['']);
  await host.world.call('VTPM.set_contents', vtpm, 'bGV0dGVycw==');
  expect(await host.world.call('VTPM.get_contents', vtpm)).toBe('bGV0dGVycw==');
  expect(secrets()).toEqual(['bGV0dGVycw==']);
  await host.call('VTPM.destroy', root, vtpm);
  expect(await host.call('VM.get_VTPMs', root, vm)).toEqual([]);
  expect(secrets()).toEqual([]);
});

test('It is not taken from a guest that runs, and a second one is refused', async () => {
  const vtpm = await create();
  expect(await host.xml('VTPM.create', root, vm, true)).toEqual({ error: ['VTPM_MAX_AMOUNT_REACHED', '1'] });
  await power('Running');
  const refused = { error: ['VM_BAD_POWER_STATE', vm, 'halted;suspended', 'running'] };
  expect(await host.xml('VTPM.destroy', root, vtpm)).toEqual(refused);
  expect(await host.json('VTPM.destroy', root, vtpm)).toEqual(refused);
  expect(await host.call('VTPM.get_allowed_operations', root, vtpm)).toEqual([]);
  await power('Suspended');
  expect(await host.xml('VTPM.destroy', root, vtpm)).toEqual({ value: '' });
});

test('Its contents are for hosts alone, and who operates VMs neither makes nor takes one', async () => {
  const vtpm = await create();
  const [admin, operator] = [
    await host.sessionWithRole('pool-admin'),
    await host.sessionWithRole('vm-operator'),
  ];
  const denied = { error: expect.arrayContaining(['RBAC_PERMISSION_DENIED']) };
  expect(await host.json('VTPM.get_contents', admin, vtpm)).toEqual(denied);
  expect(await host.json('VTPM.destroy', operator, vtpm)).toEqual(denied);
  expect(await host.json('VTPM.create', operator, vm, false)).toEqual(denied);
  expect(await host.json('VTPM.destroy', await host.sessionWithRole('vm-admin'), vtpm)).toEqual({
    value: '',
  });
});

test('A pool whose hosts serve none says so, whatever the VM is, and starts no VM without the TPM it has', async () => {
  await create();
  await power('Running');
  await offered(restrictions.get('restrict_vtpm') ?? '');
  expect(await host.xml('VTPM.create', root, vm, false)).toEqual({
    error: ['FEATURE_RESTRICTED', 'restrict_vtpm'],
  });
  await power('Halted');
  await host.world.store.commit((tx) => {
    const guest_capabilities = capabilityNumbers({ ...assumedCapabilities, vtpm: false });
    tx.patch('host', host.world.host, { guest_capabilities });
  });
  expect(await host.xml('VM.assert_can_boot_here', root, vm, host.world.host)).toEqual({
    error: ['VALUE_NOT_SUPPORTED', 'VTPMs', '1', 'the host serves no TPM: install swtpm'],
  });
});
