import type { AnyClass } from '../model/class.ts';
import type { Command } from './command.ts';
import { listedClasses } from './fields.ts';
import { genericCommands } from './generic.ts';
import { help } from './help.ts';

/** Every command, in the order of their names. */
export const commandsOf = (classes: readonly AnyClass[]): readonly Command[] =>
  [help, ...listedClasses(classes).flatMap(genericCommands)].toSorted((a, b) => (a.name < b.name ? -1 : 1));
