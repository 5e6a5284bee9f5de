import type { Ref } from '../../../src/model/types.ts';
import { assertBuilt } from '../built.ts';
import type { Case } from '../cases.ts';
import { type Adapter, against, skip } from '../subject.ts';
import { live, putVm } from './live.ts';

/** Purposes of one network beside another, before and after a call. */
const purposes: Adapter = live(async (here, { given, when, then }) => {
  const net = 'OpaqueRef:net' as Ref<'network'>;
  const another = 'OpaqueRef:another' as Ref<'network'>;
  await here.rows((tx) => {
    tx.create('network', net, { uuid: 'net', purpose: given['network.purpose'] ?? [] });
    tx.create('network', another, { uuid: 'another', purpose: given['another network.purpose'] ?? [] });
  });
  const answer: any = await here.tried(when['call'], net, when['value']);
  if (answer?.error !== undefined) return against(answer, then);
  const { purpose } = here.host.world.store.committed.require('network', net);
  return against({ 'network.purpose': purpose }, then);
});

const vm = '<vm>' as Ref<'VM'>;

/** What a case may say of a card that is made, beside the call. */
const settings = ['device', 'network', 'MAC', 'MTU', 'locking_mode', 'ipv4_allowed', 'ipv6_allowed'];

const recordOf = (when: Case['when']): Map<string, any> => {
  const unknown = Object.keys(when).find((key) => key !== 'call' && !settings.includes(key));
  if (unknown !== undefined) skip(`cards cannot be given ${unknown}`);
  const said = settings.flatMap((key) => (when[key] === undefined ? [] : [[key, when[key]] as const]));
  return new Map<string, any>([
    ['VM', vm],
    ['device', '0'],
    ['network', '<net>'],
    ['MAC', ''],
    ['other_config', new Map()],
    ['qos_algorithm_type', ''],
    ['qos_algorithm_params', new Map()],
    ...said,
    ['MTU', BigInt(when['MTU'] ?? 1_500)],
  ]);
};

/** Making a card beside those that the VM has: the error, or the fields of the new card that the case names. */
const makingCard: Adapter = live(async (here, { given, when, then }) => {
  const record = recordOf(when);
  const devices: readonly string[] = given['VM.VIFs devices'] ?? [];
  await here.rows((tx) => {
    putVm(tx, vm, { power_state: given['VM.power_state'] ?? 'Halted' });
    tx.create('network', '<net>' as Ref<'network'>, { uuid: 'net' });
    for (const device of devices) {
      const ref = `<vif ${device}>` as Ref<'VIF'>;
      tx.create('VIF', ref, { uuid: ref, VM: vm, network: '<net>' as Ref<'network'>, device });
    }
  });
  const made: any = await here.tried('VIF.create', record);
  if (made?.error !== undefined) return against({ error: made.error }, then);
  const row: any = here.host.world.store.committed.require('VIF', made);
  const named = Object.keys(then).filter((key) => key.startsWith('VIF.'));
  return against(Object.fromEntries(named.map((key) => [key, row[key.slice('VIF.'.length)]])), then);
});

/** Found by what is called and by what is there. */
export const networkPreconditions: Adapter = (one) => {
  const call: string = one.when['call'];
  assertBuilt(call);
  if (/^network\.(add|remove)_purpose$/.test(call)) return purposes(one);
  if (call !== 'VIF.create') return skip(`no script makes what ${call} needs`);
  if (Object.keys(one.given).some((key) => key.startsWith('PVS proxy'))) {
    return skip('PVS proxies are not built');
  }
  return makingCard(one);
};
