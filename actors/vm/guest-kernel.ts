import { type GuestKernels, KernelRefused } from '../../src/drivers/guest-kernels.ts';
import type { VmBoot, XenopsMetadata } from '../../src/drivers/hypervisor/hypervisor.ts';
import type { Ref } from '../../src/model/types.ts';
import { Fault } from '../../src/std/fault.ts';

// What a guest boots from outside its disks. The fields are any text that a client set: here they become
// the file of a kernel, or the name and arguments of a program that the hypervisor runs on the host.

type KernelBoot = Exclude<VmBoot, { type: 'HVM' }>;
type Direct = Extract<KernelBoot['kernel'], { how: 'Direct' }>;
type Indirect = Extract<KernelBoot['kernel'], { how: 'Indirect' }>;

/** The metadata with its kernel found in the folder of guest kernels; a fault where it is not there. */
export const withGuestKernel = async (
  kernels: GuestKernels | undefined,
  self: Ref<'VM'>,
  metadata: XenopsMetadata,
): Promise<XenopsMetadata> => {
  const { boot } = metadata.vm;
  if (boot.type === 'HVM') return metadata;
  const kernel =
    boot.kernel.how === 'Direct' ? await found(kernels, boot.kernel) : checked(self, boot.kernel);
  return { ...metadata, vm: { ...metadata.vm, boot: { ...boot, kernel } } };
};

const found = async (kernels: GuestKernels | undefined, { ramdisk, ...boot }: Direct): Promise<Direct> => {
  const find = async (field: string, name: string): Promise<string> => {
    try {
      if (kernels === undefined) throw new KernelRefused('this host offers no guest kernels');
      return await kernels.find(name);
    } catch (error) {
      if (!(error instanceof KernelRefused)) throw error;
      throw new Fault('INVALID_VALUE', [field, error.message]);
    }
  };
  const kernel = await find('PV_kernel', boot.kernel);
  if (boot.cmdline.includes('\0')) throw new Fault('INVALID_VALUE', ['PV_args', 'it has a zero character']);
  return {
    ...boot,
    kernel,
    ...(ramdisk === undefined ? {} : { ramdisk: await find('PV_ramdisk', ramdisk) }),
  };
};

/** Programs that look for a kernel on the guest's own disk. */
const bootloaders: ReadonlySet<string> = new Set(['pygrub', 'eliloader']);
/** Where to look on that disk; other switches write to files of the host or choose its users. */
const harmlessSwitch = /^(-q|--quiet|--(kernel|ramdisk|entry|offset|args)=[\w./:=,+@-]*)$/;
const switchesMax = 16;

const checked = (self: Ref<'VM'>, boot: Indirect): Indirect => {
  if (!bootloaders.has(boot.bootloader)) throw new Fault('UNKNOWN_BOOTLOADER', [self, boot.bootloader]);
  const switches = boot.bootloader_args.split(/\s+/).filter((one) => one !== '');
  const odd = switches.find((one) => !harmlessSwitch.test(one));
  if (odd !== undefined || switches.length > switchesMax) {
    throw new Fault('INVALID_VALUE', [
      'PV_bootloader_args',
      `${odd ?? 'so many switches'}: a bootloader takes ` +
        '--kernel=, --ramdisk=, --entry=, --offset=, --args= and -q',
    ]);
  }
  return boot;
};
