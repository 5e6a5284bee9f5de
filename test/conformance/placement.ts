import {
  type Category,
  cutAt,
  definite,
  type GuestMemory,
  type HostSummary,
  possible,
  preferred,
  probable,
  randomIndex,
  summary,
  taken,
  takeRandom,
} from '../../src/rules/placement/selection.ts';
import { type Adapter, byCall } from './subject.ts';

type Fields = Readonly<Record<string, any>>;

const guestOf = (from: Fields): GuestMemory => ({
  overhead: BigInt(from['overhead']),
  staticMin: BigInt(from['static_min']),
  dynamicMin: BigInt(from['dynamic_min']),
  dynamicMax: BigInt(from['dynamic_max']),
  staticMax: BigInt(from['static_max']),
});

export const guests = (...lists: readonly (readonly Fields[] | undefined)[]): readonly GuestMemory[] =>
  lists.flatMap((list) => (list ?? []).map(guestOf));

const summaryOf = (given: Fields): HostSummary => ({
  host: given['host'] ?? 'host',
  isCoordinator: given['is_pool_coordinator'],
  available: BigInt(given['available']),
  staticMin: BigInt(given['sum static_min']),
  dynamicMin: BigInt(given['sum dynamic_min']),
  dynamicMax: BigInt(given['sum dynamic_max']),
  staticMax: BigInt(given['sum static_max']),
});

const value =
  (category: (when: Fields) => Category): Adapter =>
  ({ given, when }) => ({
    'value (>=0 means the host is in the category, higher is better)': Number(
      category(when)(summaryOf(given)),
    ),
  });

/** What a function that chooses among elements gives, or that it has nothing to choose from. */
const chosen = (choose: () => unknown): unknown => {
  try {
    return choose();
  } catch (error) {
    if (error instanceof RangeError) return { 'invalid argument': true };
    throw error;
  }
};

const taking = ([element, rest]: readonly [unknown, readonly unknown[]]): unknown => ({ element, rest });

export const placementTables = byCall({
  drop: ({ when }) => chosen(() => ({ list: cutAt(when['list'], when['n'])[1] })),
  take: ({ when }) => chosen(() => ({ list: cutAt(when['list'], when['n'])[0] })),
  take_nth: ({ when }) => chosen(() => taking(taken(when['list'], when['n']))),
  generate_list_index: ({ when }) =>
    chosen(() => ({ index: randomIndex(when['list'], () => when['random value']) })),
  take_random_element_from_list: ({ when }) =>
    chosen(() => taking(takeRandom(when['list'], () => when['random value']))),
  summarise_host_snapshot: ({ given, when }) => {
    const host = summary(
      {
        host: 'host',
        isCoordinator: false,
        overhead: BigInt(given['host memory_overhead']),
        total: BigInt(given['host memory_total']),
        guests: guests(given['guests resident'], given['guests scheduled']),
      },
      guests(when['extra guests']),
    );
    return {
      memory_available: Number(host.available),
      'sum static_min': Number(host.staticMin),
      'sum dynamic_min': Number(host.dynamicMin),
      'sum dynamic_max': Number(host.dynamicMax),
      'sum static_max': Number(host.staticMax),
    };
  },
  definite_host_category: value((when) => definite(when['coordinator bias'])),
  probable_host_category: value((when) => probable(when['coordinator bias'])),
  possible_host_category: value(() => possible),
  affinity_host_category: value((when) => preferred(when['affinity hosts'])),
});
