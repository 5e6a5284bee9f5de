import { setTimeout as pause } from 'node:timers/promises';
import { clientPortDefault, peerPortDefault } from '../engine/etcd-flags.ts';
import type { EngineStatus } from '../engine/status.ts';
import { askSocket } from './ask-socket.ts';
import { type EngineCommand, enginePath } from './engine.ts';
import { engineText } from './engine-text.ts';
import { type Environment, folderFlags, readFlags, UsageError } from './flags.ts';
import { pathsFor } from './paths.ts';
import { StartFailure } from './start-failure.ts';

const help = `Usage: xenact engine ACT [HOST] [FLAG ...]

A cluster of etcd on the hosts of this pool, for pools that shall survive the loss of any one host. Run it
on the coordinator, as the user that xenact runs as; status answers on every host.

  init          makes the cluster on three hosts of the pool (five from eight hosts on), this one among
                them, and moves the pool's log there
  join HOST     one more member: a name or address of a host
  leave HOST    one member less; also one whose host is gone
  use ENGINE    moves the pool's log to the engine etcd, or back to primary; guests run on
  restore       leaves a cluster whose members are lost for good, on this host alone: its database is
                the log again. On every host, and then xenact lead on the one that has most
  status        members, who leads them, health, sizes, and what to do

  --members A,B,C      with init: which hosts (default: auto)
  --no-use             with init: makes the cluster alone
  --client-port PORT   with init and join: where members listen for hosts (default: ${clientPortDefault})
  --peer-port PORT     and for each other (default: ${peerPortDefault})
  --force              with restore: what no host has in its database is lost to the pool
  --json               for programs
  --data DIR           the host's data folder, or XENACT_DATA (default: as of xenact up)

Each host that becomes a member needs etcd (Debian: etcd-server). docs/engine.md has the rest.
`;

export const engineFlags = {
  members: { type: 'string' },
  'client-port': { type: 'string', default: `${clientPortDefault}` },
  'peer-port': { type: 'string', default: `${peerPortDefault}` },
  'no-use': { type: 'boolean', default: false },
  force: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  ...folderFlags,
} as const;

/** A member that comes in late takes the whole log first. */
const askMsMax = 15 * 60_000;

export const engineCommand = async (
  args: readonly string[],
  environment: Environment,
  write: (text: string) => void,
): Promise<void> => {
  const { values, positionals } = readFlags(args, engineFlags, `\n${help}`, true);
  const [act, host = '', ...more] = positionals;
  if (values.help || act === undefined) return write(help);
  if (more.length > 0) throw new UsageError(`xenact engine takes one HOST at a time.\n\n${help}`);
  const command = commandOf(act, host, values);
  const paths = pathsFor(values.data, environment);
  const ask = async (what: EngineCommand): Promise<EngineStatus> =>
    (await askSocket(paths, enginePath, what, askMsMax))['status'] as EngineStatus;
  let status = await ask(command);
  if (command.act === 'init' && !values['no-use']) await ask({ act: 'use', engine: 'etcd' });
  if (command.act === 'use' || (command.act === 'init' && !values['no-use'])) status = await moved(ask);
  write(values.json ? `${JSON.stringify(status, null, 2)}\n` : engineText(status));
};

/** Every host starts again for it, this one first. What is not done by then goes on by itself. */
const moved = async (ask: (command: EngineCommand) => Promise<EngineStatus>): Promise<EngineStatus> => {
  for (let looks = 0; ; looks += 1) {
    await pause(lookMs);
    try {
      const status = await ask({ act: 'status' });
      if (status.move === undefined || looks >= looksMax) return status;
    } catch (error) {
      if (!(error instanceof StartFailure) || looks >= looksMax) throw error;
    }
  }
};

const lookMs = 500;
const looksMax = 120;

type Values = ReturnType<typeof readFlags<typeof engineFlags, true>>['values'];

const commandOf = (act: string, host: string, values: Values): EngineCommand => {
  if (act === 'use') {
    if (host !== 'etcd' && host !== 'primary')
      throw new UsageError('xenact engine use takes etcd or primary');
    return { act, engine: host };
  }
  const takesHost = act === 'join' || act === 'leave';
  if (!takesHost && act !== 'init' && act !== 'status' && act !== 'restore')
    throw new UsageError(`xenact engine does init, join, leave, use, restore and status.\n\n${help}`);
  if (values.force && act !== 'restore') throw new UsageError(`xenact engine ${act} takes no --force`);
  if (takesHost !== (host !== ''))
    throw new UsageError(
      takesHost ? `xenact engine ${act} needs a HOST` : `xenact engine ${act} takes no HOST`,
    );
  if (values.members !== undefined && act !== 'init')
    throw new UsageError(`xenact engine ${act} takes no --members`);
  const ports = { clientPort: Number(values['client-port']), peerPort: Number(values['peer-port']) };
  if (act === 'init') return { act, members: membersOf(values.members), ...ports };
  if (act === 'join') return { act, host, ...ports };
  if (act === 'restore') return { act, force: values.force };
  return act === 'leave' ? { act, host } : { act: 'status' };
};

const membersOf = (given = 'auto'): 'auto' | readonly string[] =>
  given === 'auto'
    ? 'auto'
    : given
        .split(',')
        .map((one) => one.trim())
        .filter((one) => one !== '');
