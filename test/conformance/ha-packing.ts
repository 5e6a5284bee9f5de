import {
  afterMoves,
  binomial,
  failedVms,
  heuristicFor,
  packFailed,
  type Question,
  type Sized,
  survives,
  survivesEveryOrder,
  survivesTheWorst,
} from '../../actors/pool/ha/packing.ts';
import { type Adapter, against, byCall } from './subject.ts';

const sizes = (pairs: readonly (readonly [string, number])[]): readonly Sized[] =>
  pairs.map(([name, size]) => ({ name, sizeBytes: BigInt(size) }));

const questionOf = (given: Readonly<Record<string, any>>): Question => ({
  hosts: sizes(given['hosts (name, free memory)']),
  vms: sizes(given['vms (name, memory)']),
  placement: given['placement (vm, host)'],
  hostsTotal: given['total_hosts'],
  failures: given['num_failures'],
});

export const haBinpack = byCall({
  plan_for_n_failures: ({ given }) => {
    const question = questionOf(given);
    return {
      'exhaustive heuristic': survivesEveryOrder(question),
      'approximate heuristic': survivesTheWorst(question),
      'heuristic chosen': heuristicFor(question.hostsTotal, question.failures),
      result: survives(question),
    };
  },
  get_specific_plan: ({ given, when, then }) => {
    const question = questionOf(given);
    const dead: string = when['dead host'];
    const live = { ...question, hosts: question.hosts.filter(({ name }) => name !== dead) };
    const failed = failedVms(question, dead);
    const plan = packFailed(live, failed);
    const free = afterMoves(live, plan).hosts.map(({ sizeBytes }) => Number(sizeBytes));
    const found = {
      'failed vms': failed.length,
      'plan size': plan.length,
      'free memory afterwards, sorted': free.sort((a, b) => a - b),
    };
    const named = Object.keys(found) as (keyof typeof found)[];
    return against(found, Object.fromEntries(named.map((name) => [name, then[name]])));
  },
});

export const haArithmetic: Adapter = ({ when }) => {
  if (when['n'] === undefined) {
    return { heuristic: heuristicFor(when['total_hosts'], when['num_failures']) };
  }
  const ways = binomial(when['n'], when['r']);
  return ways === undefined ? { overflow: true } : { value: String(ways) };
};
