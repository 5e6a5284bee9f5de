import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';

type Interface = readonly [Ref<'PIF'>, RecordNamed<'PIF'>];

export interface Uplinks {
  /** Through which the host reaches the rest of the world. */
  readonly gateway: Ref<'PIF'> | undefined;
  /** From which it takes its name servers. */
  readonly dns: Ref<'PIF'> | undefined;
}

/**
 * Which interface of a host gives the default route and which the name servers: one whose `other_config`
 * says so, else the one for management. `management` is the device that a caller names for that.
 */
export const uplinks = (interfaces: readonly Interface[], management: string | undefined): Uplinks => {
  const configured = interfaces.filter(
    ([, pif]) => pif.management || pif.device === management || pif.ip_configuration_mode !== 'None',
  );
  const marked = (key: string): Ref<'PIF'> | undefined =>
    configured.find(([, { other_config }]) => other_config.get(key) === 'true')?.[0];
  const main = interfaces.find(([, pif]) =>
    management === undefined ? pif.management : pif.device === management,
  )?.[0];
  return { gateway: marked('defaultroute') ?? main, dns: marked('peerdns') ?? main };
};
