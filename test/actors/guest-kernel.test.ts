// Goal: starting and resuming a VM is refused, with what to set, where it would boot a file that is no guest
//   kernel of the host or run a bootloader with switches of its own; setting the fields is not.
// Method: the real behaviours over a daemon in process, which notes what it is given.
import { afterEach, expect, test } from 'vitest';
import { type GuestKernels, KernelRefused } from '../../src/drivers/guest-kernels.ts';
import { type Bench, bench, type FakeHypervisor, fakeHypervisor } from './vm-bench.ts';

let made: Bench | undefined;
afterEach(() => made?.close());

const kernels: GuestKernels = {
  find: async (name) => {
    if (name !== 'vmlinuz' && name !== 'initrd') throw new KernelRefused(`${name} is not there`);
    return `/kernels/${name}`;
  },
  open: () => Promise.reject(new Error('admission opens nothing')),
};

interface Tried {
  readonly hypervisor: FakeHypervisor;
  start(): Promise<unknown>;
}

const pvVm = async (fields: Record<string, string>, guestKernels?: GuestKernels): Promise<Tried> => {
  const hypervisor = fakeHypervisor();
  const at = await bench(hypervisor, guestKernels === undefined ? {} : { services: { guestKernels } });
  made = at;
  const vm = await at.newVm();
  await at.call('VM.set_domain_type', vm, 'pvh');
  for (const [field, value] of Object.entries(fields)) await at.call(`VM.set_${field}`, vm, value);
  return { hypervisor, start: () => at.call('VM.start', vm, false, false) };
};

test('a host that offers no guest kernels refuses to boot one', async () => {
  const { hypervisor, start } = await pvVm({ PV_kernel: '/etc/shadow', PV_ramdisk: '/etc/shadow' });
  await expect(start()).rejects.toMatchObject({
    code: 'INVALID_VALUE',
    params: ['PV_kernel', expect.stringContaining('guest kernels')],
  });
  expect(hypervisor.calls).toEqual([]);
});

test.each([
  ['PV_kernel', { PV_kernel: '/etc/shadow' }],
  ['PV_kernel', {}],
  ['PV_ramdisk', { PV_kernel: 'vmlinuz', PV_ramdisk: '/etc/shadow' }],
])('%s that is not offered is refused by its name', async (field, fields) => {
  const { hypervisor, start } = await pvVm(fields, kernels);
  await expect(start()).rejects.toMatchObject({ code: 'INVALID_VALUE', params: [field, expect.anything()] });
  expect(hypervisor.calls).toEqual([]);
});

test('the hypervisor is given the place of what is offered, never the name that the client wrote', async () => {
  const { hypervisor, start } = await pvVm(
    { PV_kernel: 'vmlinuz', PV_ramdisk: 'initrd', PV_args: 'ro' },
    kernels,
  );
  await start();
  expect([...hypervisor.machines.values()].map(({ metadata }) => metadata.vm.boot)).toEqual([
    {
      type: 'PVH',
      kernel: { how: 'Direct', kernel: '/kernels/vmlinuz', ramdisk: '/kernels/initrd', cmdline: 'ro' },
    },
  ]);
});

test.each(['/bin/sh', 'pygrub -x', '../pygrub', 'PYGRUB'])('%s is no bootloader', async (bootloader) => {
  const { start } = await pvVm({ PV_bootloader: bootloader });
  await expect(start()).rejects.toMatchObject({ code: 'UNKNOWN_BOOTLOADER' });
});

test.each(['--output=/etc/passwd', '--runas=0', '-n', 'x', '--kernel=/k --output-directory=/'])(
  'a bootloader is not given %s',
  async (switches) => {
    const { hypervisor, start } = await pvVm({ PV_bootloader: 'pygrub', PV_bootloader_args: switches });
    await expect(start()).rejects.toMatchObject({ code: 'INVALID_VALUE' });
    expect(hypervisor.calls).toEqual([]);
  },
);

test('a bootloader is given where to look on the disk', async () => {
  const { hypervisor, start } = await pvVm({
    PV_bootloader: 'pygrub',
    PV_bootloader_args: '-q --kernel=/boot/vmlinuz --ramdisk=/boot/initrd.img',
  });
  await start();
  expect(hypervisor.calls).toContain('start');
});

test('settings of a virtual machine that name files or programs of the host do not reach the hypervisor', async () => {
  const hypervisor = fakeHypervisor();
  made = await bench(hypervisor);
  const vm = await made.newVm();
  const tainted = {
    hvm_serial: 'file:/etc/cron.d/x',
    parallel: '/dev/sda',
    xenguest: '/bin/sh',
    'emu-manager': '/bin/sh',
    vgpu_config: '/usr/share/nvidia/vgpu/../../../../etc/passwd',
    vgpu_extra_args: 'a /etc/passwd',
    'device-model': '/bin/sh',
  };
  await made.call('VM.set_platform', vm, new Map(Object.entries({ ...tainted, pae: 'true' })));
  await made.call('VM.add_to_other_config', vm, 'hvm_serial', 'file:/etc/cron.d/x');
  await made.call('VM.start', vm, false, false);
  const [given] = [...hypervisor.machines.values()].map(({ metadata }) => metadata.vm);
  expect(given?.boot).toMatchObject({ type: 'HVM', serial: 'pty' });
  for (const key of Object.keys(tainted)) expect(given?.platformdata.has(key), key).toBe(false);
  expect(given?.platformdata.get('pae')).toBe('true');
});

test('a keymap that is a path is refused before anything starts', async () => {
  const hypervisor = fakeHypervisor();
  made = await bench(hypervisor);
  const vm = await made.newVm();
  await made.call('VM.add_to_platform', vm, 'keymap', '../../etc/passwd');
  await expect(made.call('VM.start', vm, false, false)).rejects.toMatchObject({ code: 'INVALID_VALUE' });
  expect(hypervisor.calls).toEqual([]);
});
