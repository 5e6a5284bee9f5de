import type { RecordNamed } from '../model/class.ts';
import type { Ref } from '../model/types.ts';
import type { Catalog } from '../objects/catalog.ts';
import type { NextDatabase, ReplacingDatabase } from '../objects/replacing.ts';
import type { Services } from '../objects/services.ts';
import { type ReadState, readState } from '../rules/state-db/read.ts';
import { databaseSchema } from '../rules/versions.ts';
import { sleep } from '../std/clock.ts';
import { DecodeFailure } from '../std/decode-failure.ts';
import { Fault } from '../std/fault.ts';
import { UnusableError } from '../std/unusable.ts';
import { schemasOf } from '../store/schema.ts';
import { adopt } from './adopt.ts';

type Uses = Pick<Services, 'clock' | 'log' | 'store' | 'host' | 'facts'>;

/**
 * A database in the place of this pool's: its coordinator there is this host, which keeps its uuid. What the
 * XenAPI asks of such a database is asked here, so that nobody is locked out by it.
 */
export const replacingOf =
  (catalog: Catalog, uses: Uses): ReplacingDatabase =>
  async (text) => {
    const { clock, log, store, host } = uses;
    try {
      const state = await readState(text, schemasOf(catalog.classes), () => sleep(clock, 0));
      if (state.manifest.minor !== databaseSchema.minor) throw new Fault('RESTORE_INCOMPATIBLE_VERSION');
      const { uuid } = store.latest.require('host', host);
      const said = { old: coordinatorIn(state), uuid };
      const next = await adopt({ catalog, clock, log }, { state, host: said, keepsSecrets: true });
      await assertCards(uses, next);
      return next;
    } catch (error) {
      if (!(error instanceof DecodeFailure || error instanceof UnusableError)) throw error;
      throw new Fault('INVALID_VALUE', ['database', error.message]);
    }
  };

const coordinatorIn = ({ rows }: ReadState): string => {
  const master = rows.find(({ cls }) => cls === 'pool')?.fields['master'];
  const row = rows.find(({ cls, ref }) => cls === 'host' && ref === master);
  if (row === undefined) throw new DecodeFailure(`The coordinator ${master} is no host of the database`);
  return String(row.fields['uuid']);
};

const assertCards = async ({ facts, store, host }: Uses, next: NextDatabase): Promise<void> => {
  const { cards } = await facts();
  const here = new Set(cards.map(({ device }) => device));
  const there = next.rows
    .filter(({ cls }) => cls === 'PIF')
    .map(({ fields }) => fields as Partial<RecordNamed<'PIF'>>)
    .filter((card) => card.physical === true && card.host === next.host);
  // Cards that were gone already are not missed.
  const missing = there.find((card) => card.currently_attached === true && !here.has(card.device ?? ''));
  if (missing !== undefined) throw new Fault('RESTORE_TARGET_MISSING_DEVICE', [missing.device ?? '']);
  const management = managementDevice(store.latest.get('host', host)?.PIFs ?? [], store);
  if (management === undefined || there.some(({ device }) => device === management)) return;
  throw new Fault('RESTORE_TARGET_MGMT_IF_NOT_IN_BACKUP', [management]);
};

const managementDevice = (cards: readonly Ref<'PIF'>[], { latest }: Services['store']): string | undefined =>
  cards.flatMap((ref) => latest.get('PIF', ref) ?? []).find((card) => card.management && card.physical)
    ?.device;
