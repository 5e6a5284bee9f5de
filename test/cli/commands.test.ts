// Goal: the command line has the commands, parameters and fields that scripts know, and says so in its help.
// Method: what the declarations and tables make is compared with the recorded commands of the XenAPI's own
// command line; where ours differ, the difference is named here with its reason.
import { describe, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { commandsOf } from '../../src/cli/commands.ts';
import { labelOf, listedClasses } from '../../src/cli/fields.ts';
import reference from '../reference/xe-commands.json' with { type: 'json' };

type Recorded = readonly [name: string, required: string, optional: string, flags: string];
const commands = new Map(commandsOf(classes).map((command) => [command.name, command]));
const recorded = reference.generic as unknown as readonly Recorded[];
const sorted = (words: string): string => words.split(' ').toSorted().join(' ');

/** Fields and commands of the recorded command line that ours shows otherwise. */
const otherwise: Readonly<Record<string, string>> = {
  'caller: groups SRW': 'members are added by messages of other names',
  'caller-param-add': 'as above',
  'caller-param-remove': 'as above',
};

describe('the commands that every class has', () => {
  test('are those of the XenAPI, each with its parameters', () => {
    const differ = recorded.flatMap(([name, required, optional]) => {
      const command = commands.get(name);
      const ours = [command?.required?.join(' ') ?? '', sorted(command?.optional?.join(' ') ?? '')];
      return name in otherwise || JSON.stringify(ours) === JSON.stringify([required, sorted(optional)])
        ? []
        : [[name, required, optional, ...ours]];
    });
    expect(differ).toEqual([]);
  });

  test('show the fields of the XenAPI in their order, with what can be done to them', () => {
    const ours = new Map(listedClasses(classes).map(({ name, fields }) => [name, fields]));
    const labels = reference.labels as Readonly<Record<string, readonly string[]>>;
    const differ = Object.entries(labels).flatMap(([cls, fields]) => {
      const shown = ours.get(cls)?.map((field) => labelOf(field).replace(/ \( ?(\w+)\).*/, ' $1')) ?? [];
      return fields.filter((field, i) => shown[i] !== field).map((field) => `${cls}: ${field}`);
    });
    expect(differ.filter((field) => !(field in otherwise))).toEqual([]);
  });
});
