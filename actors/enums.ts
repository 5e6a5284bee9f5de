import { confidential, map, oneOf, string, upTo } from '../src/model/types.ts';

/** Enumerations that more than one class uses. One that a single class uses is declared beside it. */
export const certificatePurpose = oneOf('certificate_purpose', ['licensing', 'ldaps']);
export const domainType = oneOf('domain_type', ['hvm', 'pv', 'pv_in_pvh', 'pvh', 'unspecified']);
export const updateGuidances = oneOf('update_guidances', [
  'reboot_host',
  'reboot_host_on_livepatch_failure',
  'reboot_host_on_kernel_livepatch_failure',
  'reboot_host_on_xen_livepatch_failure',
  'restart_toolstack',
  'restart_device_model',
  'restart_vm',
]);
export const pciDom0Access = oneOf('pci_dom0_access', [
  'enabled',
  'disable_on_reboot',
  'disabled',
  'enable_on_reboot',
]);

/** What a guest fills, who is not asked to be brief: the rest is left out. */
export const toldByGuest = upTo(map(string, upTo(string, 4_096)), 262_144, 256);

/** Of a secret: one may have all that a guest keeps in its TPM. */
export const secretText = confidential(upTo(string, 524_288));
