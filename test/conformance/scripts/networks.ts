import type { Ref } from '../../../src/model/types.ts';
import { type Adapter, against, byName } from '../subject.ts';
import { live, putVm } from './live.ts';

/** Purposes of one network beside another, before and after a call. */
const purposes: Adapter = live(async (here, { given, when, then }) => {
  const net = 'OpaqueRef:net' as Ref<'network'>;
  const another = 'OpaqueRef:another' as Ref<'network'>;
  await here.rows((tx) => {
    tx.create('network', net, { uuid: 'net', purpose: given['network.purpose'] });
    tx.create('network', another, { uuid: 'another', purpose: given['another network.purpose'] ?? [] });
  });
  const answer: any = await here.tried(when['call'], net, when['value']);
  if (answer?.error !== undefined) return against(answer, then);
  const { purpose } = here.host.world.store.committed.require('network', net);
  return against({ 'network.purpose': purpose }, then);
});

const plainVif: Adapter = live(async (here, { when, then }) => {
  await here.rows((tx) => {
    putVm(tx, '<vm>');
    tx.create('network', '<net>' as Ref<'network'>, { uuid: 'net' });
  });
  const record = new Map<string, any>([
    ['VM', '<vm>'],
    ['device', when['device']],
    ['network', when['network']],
    ['MAC', ''],
    ['MTU', 1_500n],
    ['other_config', new Map()],
    ['qos_algorithm_type', ''],
    ['qos_algorithm_params', new Map()],
  ]);
  const vif: Ref<'VIF'> = await here.host.call('VIF.create', here.root, record);
  return against({ 'VIF.VM': here.host.world.store.committed.require('VIF', vif).VM }, then);
});

/** Purposes are data, everything else is prose. */
export const networkPreconditions: Adapter = (one) =>
  /^network\.(add|remove)_purpose$/.test(one.when['call'])
    ? purposes(one)
    : byName({ 'VIF.create: plain': plainVif })(one);
