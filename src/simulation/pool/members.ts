import type { Ref } from '../../model/types.ts';
import type { View } from '../../store/view.ts';
import type { Past } from './past.ts';
import type { World, WorldHost } from './world.ts';

/** Whether rows are those of the pool, and not of one that a host is by itself. */
const areOf = ({ uuid }: Pick<Past, 'uuid'>, view: View | undefined): boolean =>
  view !== undefined && [...view.all('pool')].some(([, row]) => row.uuid === uuid);

/** It runs with the rows of the pool. */
export const isMember = ({ past }: Pick<World, 'past'>, { process }: Pick<WorldHost, 'process'>): boolean =>
  areOf(past, process?.store?.committed);

export const membersOf = (world: World): readonly WorldHost[] =>
  world.hosts.filter((host) => isMember(world, host));

export const leadersOf = (world: World): readonly WorldHost[] =>
  membersOf(world).filter(({ process }) => process?.pool?.duty.kind === 'leads');

/** Hosts of the pool, as the host that leads has them. */
export const hostsOf = ({ process }: WorldHost): ReadonlySet<Ref<'host'>> =>
  new Set([...(process?.store.committed.all('host') ?? [])].map(([ref]) => ref));
