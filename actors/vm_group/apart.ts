import { nullRef } from '../../src/model/types.ts';
import type { Services } from '../../src/objects/services.ts';
import { leaveAlert } from '../../src/rules/messages.ts';
import type { Tx, View } from '../../src/store/view.ts';

const name = 'ALL_RUNNING_VMS_IN_ANTI_AFFINITY_GRP_ON_SINGLE_HOST';

const bodyOf = (group: string, host: string): string =>
  [
    '<body><message>Breach on VM anti-affinity rules</message>',
    `<VM_group>${group}</VM_group><host>${host}</host></body>`,
  ].join('');

/** What is to be told: groups that are to be spread, and of which all that runs is on one host. */
const breaches = (view: View): ReadonlySet<string> => {
  const found = new Set<string>();
  for (const [, { uuid, placement, VMs }] of view.all('VM_group')) {
    if (placement !== 'anti_affinity') continue;
    const at = VMs.flatMap((ref) => {
      const vm = view.get('VM', ref);
      return vm?.power_state === 'Running' && vm.resident_on !== nullRef ? [vm.resident_on] : [];
    });
    const [first] = at;
    if (first === undefined || at.length < 2 || at.some((host) => host !== first)) continue;
    found.add(bodyOf(uuid, view.get('host', first)?.uuid ?? ''));
  }
  return found;
};

const told = (view: View) => [...view.all('message')].filter(([, message]) => message.name === name);

/**
 * Makes the pass that tells of groups whose VMs all run on one host, and takes that back once they do not. It
 * remembers what it told, so that a message which somebody has dismissed does not come again for the same.
 */
export const apartWatcher = ({
  store,
  services,
}: {
  readonly store: Services['store'];
  readonly services: Services;
}): ((leads: boolean) => Promise<void>) => {
  let known: ReadonlySet<string> | undefined;
  const settle = (tx: Tx, wanted: ReadonlySet<string>, before: ReadonlySet<string>): void => {
    for (const [ref, { body }] of told(tx)) if (!wanted.has(body)) tx.delete('message', ref);
    const [pool] = tx.all('pool');
    for (const body of wanted) {
      if (before.has(body)) continue;
      leaveAlert(tx, services, { name, cls: 'Pool', obj_uuid: pool?.[1].uuid ?? '', body });
    }
  };
  return async (leads) => {
    if (!leads) {
      known = undefined;
      return;
    }
    const wanted = breaches(store.committed);
    const before = known ?? new Set(told(store.committed).map(([, { body }]) => body));
    known = wanted;
    if (wanted.size === before.size && [...wanted].every((body) => before.has(body))) return;
    await store.commit((tx) => settle(tx, wanted, before));
  };
};
