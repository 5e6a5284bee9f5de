import { type Client, mapIn, type Row, rowsOf, rowsWhere, textIn, textsIn } from './server.ts';

/** Why a scenario says nothing of this server. */
export class Skipped extends Error {}

/** What a scenario expected and did not find. */
export class Unexpected extends Error {}

export const expect = (holds: boolean, otherwise: string): void => {
  if (!holds) throw new Unexpected(otherwise);
};

export const same = (found: unknown, wanted: unknown, what: string): void => {
  const [has, wants] = [shown(found), shown(wanted)];
  expect(has === wants, `${what} is ${has}, expected ${wants}`);
};

const shown = (value: unknown): string =>
  JSON.stringify(value, (_, item) => {
    if (typeof item === 'bigint') return Number(item);
    return item instanceof Map ? Object.fromEntries(item) : item;
  }) ?? 'nothing';

/** What the call is refused with; that it succeeds is a failure. */
export const refusal = async (calling: Promise<unknown>, what: string): Promise<Error> => {
  const answered = await calling.then(
    () => undefined,
    (error: Error) => error,
  );
  if (answered === undefined) throw new Unexpected(`${what} was not refused`);
  return answered;
};

export interface Repository {
  readonly ref: string;
  readonly row: Row;
  readonly type: string;
  readonly allowed: ReadonlySet<string>;
  readonly features: ReadonlySet<string>;
}

export interface Run {
  readonly server: Client;
  readonly repositories: readonly Repository[];
  /** Where guests are made to act by themselves: by a POST to `/UUID/reboot`, `/poweroff` or `/crash` below. */
  readonly guestActs?: string;
  readonly basic: string;
  /** Runs when the scenario is over, the last first, whatever became of it. */
  later(clean: () => Promise<unknown>): void;
}

export interface Scenario {
  readonly name: string;
  run(run: Run): Promise<void>;
}

/** What a repository must have to be tried. */
export interface Wanted {
  readonly allowed?: readonly string[];
  readonly features?: readonly string[];
  readonly notIso?: boolean;
  /** At most one is tried: what is said has nothing to do with the repository. */
  readonly any?: boolean;
  readonly otherwise?: (repository: Repository) => boolean;
}

export interface SrScenario {
  readonly name: string;
  readonly wanted: Wanted;
  run(run: Run, repository: Repository): Promise<void>;
}

const creating: readonly string[] = ['vdi_create'];

const refusesDisks = ({ row }: Repository): boolean =>
  row.get('is_tools_sr') === true || mapIn(row, 'other_config').get('quicktest-no-VDI_CREATE') === 'true';

export const suits = (repository: Repository, wanted: Wanted): boolean => {
  const { allowed, features, row } = repository;
  const { allowed: operations = [], features: capabilities = [], notIso = false, otherwise } = wanted;
  const makes = operations.some((one) => creating.includes(one)) || capabilities.includes('VDI_CREATE');
  if (!operations.every((one) => allowed.has(one))) return false;
  if (!capabilities.every((one) => features.has(one))) return false;
  if ((notIso || makes) && textIn(row, 'content_type') === 'iso') return false;
  if (makes && refusesDisks(repository)) return false;
  return otherwise === undefined || otherwise(repository);
};

/** A disk can be made there and taken away again. */
export const disks: Wanted = { allowed: ['vdi_create', 'vdi_destroy'], notIso: true };

export const described = ({ allowed = [], features = [], notIso = false }: Wanted): string => {
  const asks = [...allowed.map((one) => `allows ${one}`), ...features.map((one) => `has ${one}`)];
  return [...asks, ...(notIso ? ['is no ISO library'] : [])].join(', ') || 'suits';
};

export const findRepositories = async (server: Client): Promise<readonly Repository[]> => {
  const drivers = [...(await rowsOf(server, 'SM')).values()];
  return [...(await rowsOf(server, 'SR'))].map(([ref, row]) => {
    const type = textIn(row, 'type');
    const driver = drivers.find((one) => textIn(one, 'type') === type) ?? new Map();
    const features = new Set([...mapIn(driver, 'features').keys(), ...textsIn(driver, 'capabilities')]);
    return { ref, row, type, features, allowed: new Set(textsIn(row, 'allowed_operations')) };
  });
};

/** Managed disks of each repository that can be scanned and makes or destroys disks, after a scan. */
export const countDisks = async (
  server: Client,
  repositories: readonly Repository[],
): Promise<ReadonlyMap<string, number>> => {
  const counts = new Map<string, number>();
  for (const { ref, row, allowed } of repositories) {
    if (!allowed.has('scan') || !(allowed.has('vdi_create') || allowed.has('vdi_destroy'))) continue;
    await server.call('SR.scan', ref);
    const found = await rowsWhere(server, 'VDI', `field "SR"="${ref}" and field "managed" = "true"`);
    counts.set(`${textIn(row, 'name_label')} ${textIn(row, 'uuid')}`, found.size);
  }
  return counts;
};
