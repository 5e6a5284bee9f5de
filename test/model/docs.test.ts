// Goal: docs/api says all that the declarations say, and nothing else.
// Method: a small class of every kind of field and message is turned into a page and read; then the pages of
// the served classes are generated anew and compared with the files.
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { classes } from '../../actors/index.ts';
import { defineClass, dyn, ro, rw } from '../../src/model/class.ts';
import { wireFields, wireMessages } from '../../src/model/derive.ts';
import { apiPages } from '../../src/model/docs.ts';
import { int, oneOf, ref, set, string, stringMap } from '../../src/model/types.ts';

const folder = new URL('../../docs/api/', import.meta.url);

const lamp = defineClass('lamp', {
  doc: 'A lamp that shines.',
  since: { release: 'ely', later: { '24.1.0': ['colour', 'dim'] } },
  writeRole: 'vm-admin',
  constructible: true,
  events: false,
  fields: {
    uuid: dyn(string, 'Identity of the lamp.'),
    colour: rw(oneOf('colour', ['red', 'green|blue']), 'Colour of its light.', { default: 'red' }),
    settings: rw(stringMap, 'Free for clients.', { keyRoles: { plug: 'pool-admin' } }),
    neighbours: ro(set(ref('lamp')), 'Lamps nearby.', { default: [], inverse: 'lamp.neighbours' }),
    serial: dyn(string, 'Hidden number.', { internal: true }),
  },
  messages: {
    dim: {
      doc: 'Makes it shine less.',
      role: 'vm-operator',
      self: 'self',
      params: { percent: [int, 'How much.', 10n] },
      errors: ['VM_BAD_POWER_STATE'],
      async: true,
    },
    blow: { doc: 'Ends it.', role: 'pool-admin', self: 'self', removed: true, hidden: true },
  },
});

describe('the page of a class', () => {
  const page = apiPages([lamp]).get('lamp.md') ?? '';

  test('tells type, access, default, roles, release and sentence of each field on the wire', () => {
    expect(page).toContain(
      '| `colour` | `enum colour` | RW | `"red"` | read-only | vm-admin | 24.1.0 | Colour of its light. |',
    );
    expect(page).toContain(
      '| `neighbours` | [`lamp ref set`](lamp.md) | RO | `[]` | read-only |  | XenServer 7.1 | ' +
        'Lamps nearby. Other end: `lamp.neighbours`. |',
    );
    expect(page).toContain('Keys of `settings` that need another role: `plug` pool-admin.');
    expect(page).not.toContain('serial');
  });

  test('tells parameters, role, errors, release and manner of each message', () => {
    const [, dim = ''] = page.split('### lamp.dim');
    expect(dim.split('###')[0]).toContain('lamp.dim(self: lamp ref, percent: int)');
    expect(dim).toContain('| `percent` | `int` | `10` | How much. |');
    expect(dim).toContain(
      '- Role: vm-operator\n- Errors: `VM_BAD_POWER_STATE`\n- Since: 24.1.0\n- May run as a task',
    );
    const [, blow = ''] = page.split('### lamp.blow');
    expect(blow).toContain('- Removed: answers `MESSAGE_REMOVED`\n- Not meant for ordinary clients');
  });

  test('tells what the messages do that follow from the fields', () => {
    expect(page).toContain(
      '| `add_to_settings` | `self`, `key`, `value` |  | vm-admin | ' +
        'Adds a key to `settings`, which must not have it yet. |',
    );
    expect(page).toContain(
      '| `create` | `args` | [`lamp ref`](lamp.md) | vm-admin | ' +
        'Makes an object from a record of its `RW` and `RO` fields. May run as a task. |',
    );
  });

  test('lists the values of enumerations', () => {
    expect(page).toContain('- `enum colour`: `red`, `green|blue`');
  });
});

test('every field and message of every class is on the page of its class', () => {
  const pages = apiPages(classes);
  const missing = classes.flatMap((cls) => {
    const page = pages.get(`${cls.name}.md`) ?? '';
    return [
      ...wireFields(cls).filter(([name]) => !page.includes(`| \`${name}\` |`)),
      ...wireMessages(cls).filter(
        ({ name, method }) => !page.includes(`### ${method}\n`) && !page.includes(`| \`${name}\` |`),
      ),
    ];
  });
  expect(missing).toEqual([]);
});

test('the files in docs/api are what the declarations generate: run `npm run docs` when they are not', () => {
  const pages = apiPages(classes);
  expect(readdirSync(folder).sort()).toEqual([...pages.keys()].sort());
  const stale = [...pages].filter(([name, text]) => readFileSync(new URL(name, folder), 'utf8') !== text);
  expect(stale.map(([name]) => name)).toEqual([]);
});
