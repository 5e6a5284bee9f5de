import { said } from '../../../std/allowed.ts';
import { membersOf } from '../../../std/reader.ts';
import type { Qmp } from './qmp.ts';

/** Positions of a guest's network cards by the addresses that they were plugged with, in lower case. */
export const cardsOf = async (qmp: Qmp): Promise<ReadonlyMap<string, number>> => {
  const answer = await qmp.execute('qom-list', said({ path: '/machine/peripheral' }));
  const names = (Array.isArray(answer) ? answer : []).map((one) => String(membersOf(one)['name']));
  const cards = new Map<string, number>();
  for (const name of names) {
    const position = /^vif(\d{1,4})$/.exec(name)?.[1];
    if (position === undefined) continue;
    const path = `/machine/peripheral/vif${Number(position)}` as const;
    const mac = await qmp.execute('qom-get', said({ path, property: 'mac' }));
    cards.set(String(mac).toLowerCase(), Number(position));
  }
  return cards;
};
