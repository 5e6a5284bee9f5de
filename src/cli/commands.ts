import type { AnyClass } from '../model/class.ts';
import type { Command } from './command.ts';
import { oneCalls } from './commands/calls.ts';
import { consoleCommand } from './commands/console.ts';
import { diskCommands } from './commands/disks.ts';
import { editionCommands } from './commands/editions.ts';
import { eventCommands } from './commands/events.ts';
import { fileCommands } from './commands/files.ts';
import { hostCommands } from './commands/hosts.ts';
import { recoveryCommands } from './commands/recovery.ts';
import { reportCommands } from './commands/reports.ts';
import { repositoryCommands } from './commands/repositories.ts';
import { snapshotCommands } from './commands/snapshots.ts';
import { transferCommands } from './commands/transfers.ts';
import { vmCommands } from './commands/vms.ts';
import { listedClasses } from './fields.ts';
import { genericCommands } from './generic.ts';
import { help } from './help.ts';
import { commandOfCall, messagesOf } from './one-call.ts';

/** Every command, in the order of their names. */
export const commandsOf = (classes: readonly AnyClass[]): readonly Command[] => {
  const listed = listedClasses(classes);
  const messages = messagesOf(classes);
  return [
    help,
    ...listed.flatMap(genericCommands),
    ...[...vmCommands(listed), ...snapshotCommands(listed), ...diskCommands(listed)],
    ...[...hostCommands(listed), ...transferCommands(listed), ...eventCommands(listed)],
    ...[...reportCommands(listed), ...fileCommands(listed), consoleCommand(listed)],
    ...[...editionCommands, ...recoveryCommands, ...repositoryCommands],
    ...oneCalls.map((spec) => commandOfCall(spec, messages, listed)),
  ].toSorted((a, b) => (a.name < b.name ? -1 : 1));
};
