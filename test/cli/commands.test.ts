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

/** Commands of the recorded command line that take something else here. */
const otherwise: Readonly<Record<string, string>> = {
  'host-enable-external-auth': 'help says that it needs force',
  'host-disable-external-auth': 'as above',
  'host-prepare-for-poweroff': 'help says that it needs a uuid',
};

describe('the commands that every class has', () => {
  test('are those of the XenAPI, each with its parameters', () => {
    const differ = recorded.flatMap(([name, required, optional]) => {
      const command = commands.get(name);
      const ours = [command?.required?.join(' ') ?? '', sorted(command?.optional?.join(' ') ?? '')];
      return JSON.stringify(ours) === JSON.stringify([required, sorted(optional)])
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
    expect(differ).toEqual([]);
  });
});

describe('the other commands', () => {
  const others = new Map((reference.others as unknown as readonly Recorded[]).map((one) => [one[0], one]));
  const generic = new Set(recorded.map(([name]) => name));
  const ours = [...commands.values()].filter(({ name }) => !generic.has(name) && name !== 'help');

  test('take the parameters of the XenAPI', () => {
    const differ = ours.flatMap(({ name, required = [], optional = [] }) => {
      const [, needs, takes] = others.get(name) ?? ['', 'there is no such command', ''];
      const mine = [sorted(required.join(' ')), sorted(optional.join(' '))];
      const theirs = [sorted(needs), sorted(takes)];
      return name in otherwise || JSON.stringify(mine) === JSON.stringify(theirs)
        ? []
        : [[name, theirs, mine]];
    });
    expect(differ).toEqual([]);
  });

  test('are standard, hidden, of one host and for chosen objects as those of the XenAPI', () => {
    const differ = ours.flatMap(({ name, selects, standard, hidden, local }) => {
      const flags = (others.get(name)?.[3] ?? '').split(' ');
      const theirs = ['vm', 'host', 'sr'].find((one) => flags.includes(`${one}_selectors`));
      const isHidden = flags.includes('hidden') || flags.includes('deprecated');
      const mine = [selects, standard === true, hidden === true, local === true];
      const isLocal = flags.includes('local_session');
      return JSON.stringify(mine) === JSON.stringify([theirs, flags.includes('standard'), isHidden, isLocal])
        ? []
        : [[name, flags, mine]];
    });
    expect(differ).toEqual([]);
  });
});

test('every command of the XenAPI is there', () => {
  const all = [...recorded, ...(reference.others as unknown as readonly Recorded[])].map(([name]) => name);
  expect(all.filter((name) => !commands.has(name))).toEqual([]);
});
