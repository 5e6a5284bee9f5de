import { variantOf } from '../../codec/rpclib.ts';
import { backingOf, type DiskImage } from '../../drivers/disk-image.ts';
import { XenopsError } from '../../drivers/hypervisor/hypervisor.ts';
import { nbdExportOf } from '../../drivers/nbd-address.ts';
import { type Endpoint, type Network, NetworkFailure } from '../../drivers/network.ts';
import { RpcRefusal, xmlRpc } from '../../rpc/rpc.ts';
import { DecodeFailure } from '../../std/decode-failure.ts';
import { listOf, member, optionalMember, stringOf } from '../../std/reader.ts';
import { struct, type Value } from '../../std/value.ts';

/** A disk of the storage layer as one guest uses it. */
export interface Datapath {
  /** Of the caller's choice: `vbd/<domid>/<device>`. */
  readonly name: string;
  /** SR uuid. */
  readonly sr: string;
  /** The VDI's location. */
  readonly vdi: string;
  /** Domain id, `0` for this host's own use. */
  readonly domain: string;
  /** It is let go of for a moment, and whoever finds it so takes it again. */
  readonly reopening?: boolean;
}

/** The SMAPIv2 calls that give a guest its disks. Refusals are `Storage_backend_error`s. */
export interface DiskStorage {
  attach(path: Datapath, readWrite: boolean, debugInfo: string): Promise<DiskPlace>;
  activate(path: Datapath, debugInfo: string): Promise<void>;
  deactivate(path: Datapath, debugInfo: string): Promise<void>;
  detach(path: Datapath, debugInfo: string): Promise<void>;
  /** A power cycle begins whose writes are forgotten with its end. Before the disk is attached. */
  beginEpoch(path: Datapath, debugInfo: string): Promise<void>;
  /** After the disk was detached. */
  endEpoch(path: Datapath, debugInfo: string): Promise<void>;
}

export type DiskPlace = DiskImage;

/** Storage plugins may have to wake disks and talk to filers. */
const LIMITS = { timeoutMs: 5 * 60_000 };

export const diskStorage = (network: Network, endpoint: Endpoint): DiskStorage => {
  const rpc = xmlRpc(network, endpoint);
  const call = async <T>(
    method: string,
    path: Datapath,
    args: Readonly<Record<string, Value>>,
    read: (value: Value) => T,
  ): Promise<T> => {
    try {
      return read(
        await rpc(method, struct({ ...args, sr: path.sr, vdi: path.vdi, vm: path.domain }), LIMITS),
      );
    } catch (error) {
      throw xenopsErrorFrom(method, path, error);
    }
  };
  const nothing = (): void => {};
  return {
    attach: (path, readWrite, dbg) =>
      call('VDI.attach3', path, { dbg, dp: path.name, read_write: readWrite }, placeOf),
    activate: (path, dbg) => call('VDI.activate3', path, { dbg, dp: path.name }, nothing),
    deactivate: (path, dbg) => call('VDI.deactivate', path, { dbg, dp: path.name }, nothing),
    detach: (path, dbg) => call('VDI.detach', path, { dbg, dp: path.name }, nothing),
    beginEpoch: (path, dbg) => call('VDI.epoch_begin', path, { dbg, persistent: false }, nothing),
    endEpoch: (path, dbg) => call('VDI.epoch_end', path, { dbg }, nothing),
  };
};

/**
 * Of the ways to reach a disk the one that a guest can be given: a file or a block device, or else a server
 * of NBD on this host. An image format is told beside the way for Xen, whose parameters are then the image's
 * own path.
 */
export const placeOf = (backend: Value): DiskPlace => {
  const ways = listOf(member(backend, 'implementations'), 'implementations').map((way) => variantOf(way));
  const textOf = (tag: string, name: string): string | undefined => {
    const payload = ways.find((each) => each.tag.toLowerCase() === tag.toLowerCase())?.payload;
    return payload === undefined ? undefined : stringOf(member(payload, name), name);
  };
  const xen = ways.find(({ tag }) => tag.toLowerCase() === 'xendisk')?.payload;
  const extra = xen === undefined ? undefined : optionalMember(xen, 'extra');
  const format = stringOf((extra && optionalMember(extra, 'format')) ?? 'raw', 'format');
  if (format !== 'raw' && format !== 'qcow2') {
    throw new DecodeFailure(`Expected format to be raw or qcow2, got ${format.slice(0, 40)}`);
  }
  const image = format === 'raw' ? undefined : textOf('XenDisk', 'params');
  const path = textOf('File', 'path') ?? textOf('BlockDevice', 'path') ?? image;
  const server = path === undefined ? nbdExportOf(textOf('Nbd', 'uri') ?? '') : undefined;
  if (server !== undefined) return { path: server.socketPath, format: 'raw', exportName: server.exportName };
  if (path === undefined || !path.startsWith('/')) {
    const tags = ways.map(({ tag }) => tag).join(', ') || 'none';
    throw new DecodeFailure(
      'Expected the path of a file or a block device, or the Unix socket of a server of NBD, among the ' +
        `implementations, got ${tags}`,
    );
  }
  const said = extra && optionalMember(extra, 'backing');
  if (said === undefined) return { path, format };
  const backing = backingOf(stringOf(said, 'backing'));
  if (backing === undefined) throw new DecodeFailure('Expected backing to be a list of absolute paths');
  return { path, format, backing };
};

const backendFailure = (message: string): XenopsError =>
  new XenopsError('Storage_backend_error', ['SR_BACKEND_FAILURE', ['', message, '']]);

const xenopsErrorFrom = (method: string, path: Datapath, error: unknown): unknown => {
  if (error instanceof RpcRefusal) return refusalOf(path, error);
  if (error instanceof NetworkFailure || error instanceof DecodeFailure) {
    return backendFailure(`${method} of the storage service failed: ${error.message}`);
  }
  return error;
};

const refusalOf = (path: Datapath, refusal: RpcRefusal): XenopsError => {
  const { tag, payload = null } = variantOf(refusal.error, 'a storage error');
  const failure = (code: string, params: readonly Value[]): XenopsError =>
    new XenopsError('Storage_backend_error', [code, params]);
  const [code = 'SR_BACKEND_FAILURE', params = []] = Array.isArray(payload)
    ? (payload as readonly Value[])
    : [];
  switch (tag.toLowerCase()) {
    case 'backend_error':
      return failure(stringOf(code), listOf(params));
    case 'backend_error_with_backtrace':
      return failure(stringOf(code), listOf(params).slice(1));
    case 'sr_not_attached':
    case 'no_storage_plugin_for_sr':
      return failure('SR_NOT_ATTACHED', [path.sr]);
    case 'vdi_does_not_exist':
      return failure('VDI_MISSING', [path.sr, path.vdi]);
    default:
      return backendFailure(refusal.message);
  }
};
