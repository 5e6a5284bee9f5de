import type { RecordNamed } from '../../src/model/class.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Deciding, implement, type Reading } from '../../src/objects/implement.ts';
import { newRef } from '../../src/objects/tasks.ts';
import { isEverybody, samePattern } from '../../src/rules/callers.ts';
import { Fault } from '../../src/std/fault.ts';
import { Caller } from './class.ts';

type Fields = Partial<RecordNamed<'Caller'>>;

const groupLettersMax = 64;

const checkPatterns = (agent: string, address: string): void => {
  const refuse = (why: string): never => {
    throw new Fault('INVALID_VALUE', ['user_agent/client_ip', why]);
  };
  if (agent === '' && address === '') refuse('at least one of user_agent or client_ip must be set');
  if (isEverybody({ user_agent: agent, client_ip: address })) refuse('all-wildcard pattern not allowed');
};

/** A pattern that is known already is that caller, under the new name. */
const create = ({ tx, services }: Deciding, fields: Fields): Ref<'Caller'> => {
  const { name_label = '', name_description = '', user_agent = '', client_ip = '' } = fields;
  checkPatterns(user_agent, client_ip);
  const named = { name_label, name_description, auto_registered: false };
  for (const [ref, row] of tx.all('Caller')) {
    if (!samePattern(row.user_agent, user_agent) || !samePattern(row.client_ip, client_ip)) continue;
    tx.patch('Caller', ref, named);
    return ref;
  }
  const ref = newRef<'Caller'>(services);
  tx.create('Caller', ref, { ...fields, ...named, uuid: services.random.uuid() });
  return ref;
};

const checkGroup = (group: string): void => {
  const refuse = (why: string): never => {
    throw new Fault('INVALID_VALUE', ['group', why]);
  };
  if (group === '') refuse('empty group name');
  if (group.length > groupLettersMax) refuse(`group name must be at most ${groupLettersMax} characters`);
  if (!/^[\w.-]+$/.test(group))
    refuse("group name may only contain alphanumerics and '_', '-' or '.' characters");
};

interface Grouped {
  readonly group: string;
}

const regroup =
  (change: (groups: readonly string[], group: string) => readonly string[]) =>
  ({ tx, self }: Deciding, { group }: Grouped): void => {
    checkGroup(group);
    const ref = self as Ref<'Caller'>;
    tx.patch('Caller', ref, { groups: change(tx.require('Caller', ref).groups, group) });
  };

const known = ({ view, self, services }: Reading) => {
  view.require('Caller', self as Ref<'Caller'>);
  return services.callerUsage.of(self);
};

export default implement(
  Caller,
  {},
  {
    create: { decide: create },
    destroy: { decide: ({ tx, self }: Deciding) => tx.delete('Caller', self as Ref<'Caller'>) },
    add_group: { decide: regroup((groups, group) => [...new Set([...groups, group])]) },
    remove_group: { decide: regroup((groups, group) => groups.filter((one) => one !== group)) },
    query_call_count: { read: (reading) => BigInt(known(reading).calls) },
    query_token_usage: { read: (reading) => known(reading).tokens },
    query_group_call_count: {
      read: ({ services }: Reading, { group }: Grouped) => BigInt(services.callerUsage.of(group).calls),
    },
    query_group_token_usage: {
      read: ({ services }: Reading, { group }: Grouped) => services.callerUsage.of(group).tokens,
    },
    query_all_usage: {
      read: ({ view, services }: Reading) =>
        [...view.all('Caller')]
          .map(([ref, { uuid, name_label }]) => ({ uuid, name_label, ...services.callerUsage.of(ref) }))
          .toSorted((one, other) => other.tokens - one.tokens)
          .map(({ uuid, name_label, tokens, calls }) => [
            ...[uuid, name_label, tokens.toFixed(3), String(calls)],
          ]),
    },
  },
);
