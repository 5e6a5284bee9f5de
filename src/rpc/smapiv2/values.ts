import { variant } from '../../codec/rpclib.ts';
import { IllegalTransition } from '../../drivers/storage/datapath-state.ts';
import { type SrStat, StorageError, smConfigIn, type Volume } from '../../drivers/storage/storage.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { type Struct, struct, type Value } from '../../std/value.ts';

// Records and errors of SMAPIv2 as rpclib spells them.

export const vdiInfo = (volume: Volume): Struct =>
  struct({
    vdi: volume.key,
    uuid: volume.uuid,
    content_id: volume.keys.get('content_id') ?? '',
    name_label: volume.name,
    name_description: volume.description,
    ty: volume.keys.get('vdi-type') ?? 'user',
    metadata_of_pool: '',
    is_a_snapshot: volume.keys.get('is_a_snapshot') === 'true',
    snapshot_time: volume.keys.get('snapshot_time') ?? '19700101T00:00:00Z',
    snapshot_of: volume.keys.get('snapshot_of') ?? '',
    read_only: !volume.readWrite,
    cbt_enabled: false,
    virtual_size: volume.virtualSizeBytes,
    physical_utilisation: volume.physicalUtilisationBytes,
    persistent: true,
    sharable: volume.sharable,
    sm_config: smConfigIn(volume.keys),
    tags: [],
  });

export const srInfo = (sr: string, stat: SrStat): Struct =>
  struct({
    sr_uuid: sr,
    name_label: stat.name,
    name_description: stat.description,
    total_space: stat.totalBytes,
    free_space: stat.freeBytes,
    clustered: stat.clustered,
    health: stat.health,
  });

/** `undefined` for what is nobody's refusal but a bug. */
export const storageErrorValue = (error: unknown): Value | undefined => {
  if (error instanceof IllegalTransition) return variant('Illegal_transition', [error.from, error.to]);
  if (error instanceof DecodeFailure) return variant('Internal_error', error.message);
  if (!(error instanceof StorageError)) return undefined;
  const { code, params } = error;
  const [first, second] = params;
  if (code === 'SR_NOT_ATTACHED') return variant('Sr_not_attached', first ?? '');
  if (code === 'VDI_MISSING') return variant('Vdi_does_not_exist', second ?? '');
  if (code === 'SR_UNHEALTHY') return variant('Sr_unhealthy', [first ?? '', second ?? '']);
  if (first === 'Activated_on_another_host') return variant(first, second ?? '');
  return variant('Backend_error', [code, params]);
};
