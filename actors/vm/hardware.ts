import type { Ref } from '../../src/model/types.ts';
import type { Tx } from '../../src/store/view.ts';

/** The first generation of virtual hardware that has the vendor device. */
const vendorDeviceVersion = 2n;

/** A VM asks for at least the virtual hardware that its settings need, and may ask for more by itself. */
export const raiseHardware = (tx: Tx, self: Ref<'VM'>): void => {
  const { has_vendor_device, hardware_platform_version: asked } = tx.require('VM', self);
  if (has_vendor_device && asked < vendorDeviceVersion) {
    tx.patch('VM', self, { hardware_platform_version: vendorDeviceVersion });
  }
};
