/** What the agent of a simulated guest with its tools installed reports. */
export const guestAgent: ReadonlyMap<string, string> = new Map([
  ['attr/PVAddons/Installed', '1'],
  ['attr/PVAddons/MajorVersion', '8'],
  ['attr/PVAddons/MinorVersion', '4'],
  ['attr/PVAddons/MicroVersion', '0'],
  ['attr/PVAddons/BuildVersion', '1'],
  ['control/feature-poweroff', '1'],
  ['control/feature-reboot', '1'],
  ['control/feature-suspend', '1'],
  ['data/os_name', 'Simulated Linux'],
  ['data/os_distro', 'simulated'],
  ['data/os_uname', '6.0.0-simulated'],
]);
