type Reasons = readonly (readonly [name: string, reason: string])[];

const because = (reason: string, names: readonly string[]): Reasons => names.map((name) => [name, reason]);

/** Why messages that many clients call are not built, by name; nothing is told of those that are built. */
export const whyMissing: ReadonlyMap<string, string> = new Map([
  ...because(
    'Networks of a host are those that its system has: no bridge, bond or VLAN is made or changed yet.',
    ['PIF.reconfigure_ip', 'pool.create_VLAN_from_PIF', 'VLAN.destroy', 'Bond.create', 'Bond.destroy'],
  ),
  ...because('No hypervisor daemon of ours gives parts of graphics cards to guests.', ['VGPU.create']),
  ...because('Measurements are neither taken nor kept yet, so there are no sources to name.', [
    'VM.get_data_sources',
    'host.get_data_sources',
    'VM.query_data_source',
  ]),
]);
