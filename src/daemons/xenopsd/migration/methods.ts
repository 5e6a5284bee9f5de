// The calls of migration: the one of the toolstack, and those of another daemon. Of what comes from there
// nothing is trusted: it can make this daemon take a guest, or not, and nothing else.
import type { Duplex } from 'node:stream';
import { XenopsError } from '../../../drivers/hypervisor/hypervisor.ts';
import { bridgeOf } from '../../../rpc/xenops/devices.ts';
import { mapOf } from '../../../rpc/xenops/values.ts';
import { boolOf, member, optionalMember, stringOf, structOf } from '../../../std/reader.ts';
import type { Struct } from '../../../std/value.ts';
import type { Core, DaemonMethod } from '../core.ts';
import { abandon, begin, commit, receiveMemory } from './arrival.ts';
import type { Journey } from './departure.ts';
import { readMemoryPath } from './peer.ts';

/** Compression and the check of the destination are for real xenopsd, whose arguments these are. */
export const journeyOf = (args: Struct): Journey => {
  if (boolOf(optionalMember(args, 'localhost_migration') ?? false, 'localhost_migration')) {
    throw new XenopsError('Unimplemented', ['VM.migrate to the same host']);
  }
  const bridges = [...structOf(optionalMember(args, 'vif_map') ?? new Map(), 'vif_map')];
  return {
    url: stringOf(member(args, 'xenops_url'), 'xenops_url'),
    vdiMap: mapOf(optionalMember(args, 'vdi_map'), 'vdi_map'),
    vifMap: new Map(bridges.map(([key, network]) => [key, bridgeOf(network)])),
  };
};

export const migrationMethods = (core: Core): Readonly<Record<string, DaemonMethod>> => {
  const idOf = (args: Struct): string => stringOf(member(args, 'id'), 'id');
  const tokenOf = (args: Struct): string => stringOf(member(args, 'token'), 'token');
  return {
    'Migration.begin': (args) => begin(core, idOf(args)),
    'Migration.commit': (args, debugInfo) => commit(core, idOf(args), tokenOf(args), debugInfo),
    'Migration.abandon': (args, debugInfo) => abandon(core, idOf(args), tokenOf(args), debugInfo),
    'Migration.forget': async (args) => {
      await core.handovers.remove(tokenOf(args));
      return null;
    },
  };
};

/** The streams of the daemon's socket, which bring the memory of guests. */
export const memoryStreams =
  (core: Core) =>
  (path: string, stream: Duplex): void => {
    const found = readMemoryPath(path);
    if (found === undefined) stream.destroy();
    else void receiveMemory(core, found.vm, found.token, stream);
  };
