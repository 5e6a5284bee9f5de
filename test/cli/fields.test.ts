// Goal: what commands print is as scripts expect it, to the byte: lists, fields, and what is told of objects.
// Whatever a command is called with, the user hears how it ended and the server had no error of its own.
// Method: a world with an object of each class behind the real HTTP server; what the commands print is compared
// with texts written by the rules of the command line, and with golden files. Each command is run without
// parameters, and with parameters that name nothing.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { commandsOf } from '../../src/cli/commands.ts';
import { listedClasses } from '../../src/cli/fields.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Served, served } from '../edge/served.ts';
import { type Said, say, type XeOptions, xe } from './client.ts';

let at: Served;
const sr = 'OpaqueRef:sr' as Ref<'SR'>;
const vdi = 'OpaqueRef:vdi' as Ref<'VDI'>;
const network = 'OpaqueRef:network' as Ref<'network'>;
const web = 'OpaqueRef:web' as Ref<'VM'>;
const template = 'OpaqueRef:template' as Ref<'VM'>;
beforeAll(async () => {
  at = await served({
    behaviours,
    rows: (tx) => {
      tx.create('VM', web, {
        ...{ uuid: 'web-uuid', name_label: 'web', name_description: 'a, b\\c', power_state: 'Running' },
        ...{
          tags: ['one', 'two'],
          other_config: new Map([
            ['key', 'value'],
            ['a', 'b:c'],
          ]),
        },
        ...{ metrics: 'OpaqueRef:metrics' as Ref<'VM_metrics'>, VCPUs_max: 2n, is_a_template: false },
      });
      tx.create('VM', 'OpaqueRef:db' as Ref<'VM'>, {
        uuid: 'db-uuid',
        name_label: 'db',
        is_a_template: false,
      });
      tx.create('VM', template, { uuid: 'template-uuid', name_label: 'Other', is_a_template: true });
      tx.create('SR', sr, { uuid: 'sr-uuid', name_label: 'local', type: 'file', content_type: 'user' });
      tx.create('VDI', vdi, {
        uuid: 'vdi-uuid',
        name_label: 'disk',
        SR: sr,
        virtual_size: 1024n,
        type: 'user',
      });
      tx.create('VBD', 'OpaqueRef:vbd' as Ref<'VBD'>, {
        ...{ uuid: 'vbd-uuid', VM: web, VDI: vdi, userdevice: '0', device: 'xvda', mode: 'RW', type: 'Disk' },
      });
      tx.create('network', network, { uuid: 'network-uuid', name_label: 'lan', bridge: 'xenbr0' });
      tx.create('VIF', 'OpaqueRef:vif' as Ref<'VIF'>, {
        ...{ uuid: 'vif-uuid', VM: web, network, device: '0', MAC: '00:16:3E:00:00:01', MTU: 1500n },
      });
      tx.create('VM_metrics', 'OpaqueRef:metrics' as Ref<'VM_metrics'>, { uuid: 'm', memory_actual: 512n });
    },
  });
});
afterAll(() => at.close());

const run = (...words: readonly string[]): Promise<Said> => xe(words, { at: { port: at.port } });
const printed = async (...words: readonly string[]): Promise<string> => {
  const { out, err, status } = await run(...words);
  expect({ err, status }).toEqual({ err: '', status: 0 });
  return out;
};
const refused = async (...words: readonly string[]): Promise<string> => {
  const { out, err, status } = await run(...words);
  expect({ out, status }).toEqual({ out: '', status: 1 });
  return err;
};

test('every class is listed as its golden file has it, with the fields that scripts expect', async () => {
  const text: string[] = [];
  for (const { name } of listedClasses(classes))
    text.push(`== ${name}-list\n${await printed(`${name}-list`)}`);
  const random = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
  await expect(text.join('').replaceAll(random, '<uuid>')).toMatchFileSnapshot('golden/lists.txt');
});

describe('a list', () => {
  test('shows each object with its default fields, in the order of the class and not of the request', async () => {
    const record =
      'uuid ( RO)           : web-uuid\n     name-label ( RW): web\n    power-state ( RO): running\n\n\n';
    expect(await printed('vm-list', 'name-label=web')).toBe(record);
    expect(await printed('vm-list', 'params=power-state,name-label,uuid,nothing', 'uuid=web-uuid')).toBe(
      record,
    );
  });

  test('prints nothing where there is nothing', async () => {
    expect(await printed('vm-list', 'name-label=nobody')).toBe('');
  });

  test('has the first fields alone, escaped, between commas, with --minimal', async () => {
    expect(await printed('vm-list', 'is-control-domain=false', '--minimal')).toBe('web-uuid,db-uuid\n');
    expect(await printed('vm-list', 'params=name-description', 'uuid=web-uuid', '--minimal')).toBe(
      'a\\, b\\\\c\n',
    );
    expect(await printed('vm-list', 'name-label=nobody', '--minimal')).toBe('\n');
    expect(await printed('vm-list', 'params=nothing', 'uuid=web-uuid', '--minimal')).toBe('\n');
  });

  test('is filtered by fields, keys of maps and members of sets, also where they are not shown', async () => {
    const found = async (...filters: readonly string[]): Promise<string> =>
      printed('vm-list', '--minimal', ...filters);
    expect(await found('other-config:key=value')).toBe('web-uuid\n');
    expect(await found('other-config-key=value')).toBe('web-uuid\n');
    expect(await found('other-config:key=other')).toBe('\n');
    expect(await found('tags:contains=two')).toBe('web-uuid\n');
    expect(await found('tags-contains=three')).toBe('\n');
    expect(await found('VCPUs-max=2', 'power-state=running')).toBe('web-uuid\n');
    expect(await found('memory-actual=512')).toBe('web-uuid\n');
    expect(await found('nomigrate=false', 'name-label=web')).toBe('web-uuid\n');
  });

  test('leaves out what is of another kind, unless all are asked for', async () => {
    expect(await printed('template-list', '--minimal')).toBe('template-uuid\n');
    const all = await printed('vm-list', '--minimal', '--all', 'name-label=web');
    expect(all).toContain('template-uuid');
    expect(all).toContain('db-uuid');
  });

  test('refuses a field that there is not, once there is an object to ask', async () => {
    expect(await refused('vm-list', 'no-such=1')).toBe("Error: Unknown field 'no-such'\n");
    expect(await refused('vm-list', 'tags:has=1')).toBe(
      'Error: Invalid syntax for set filtering (should be set-param:contains=key)\n',
    );
    expect(await printed('vm-list', 'name-label=nobody', 'no-such=1')).toBe('');
  });
});

describe('a field', () => {
  test('is shown alone, a key of a map as well', async () => {
    const get = (...words: readonly string[]) => printed('vm-param-get', 'uuid=web-uuid', ...words);
    expect(await get('param-name=tags')).toBe('one, two\n');
    expect(await get('param-name=other-config')).toBe('key: value; a: b:c\n');
    expect(await get('param-name=other-config', 'param-key=a')).toBe('b:c\n');
    expect(await get('param-name=actions-after-crash')).toBe('Destroy\n');
    expect(await get('param-name=suspend-VDI-uuid')).toBe('<not in database>\n');
    expect(await get('param-name=HVM-shadow-multiplier')).toBe('1.000\n');
    expect(await get('param-name=name-label', 'param-key=ignored')).toBe('web\n');
  });

  test('that there is not is named', async () => {
    expect(await refused('vm-param-get', 'uuid=web-uuid', 'param-name=no-such')).toBe(
      'Error code: Missing parameter\nError parameters: no-such\n',
    );
    expect(await refused('vm-param-get', 'uuid=web-uuid', 'param-name=other-config', 'param-key=no')).toBe(
      'Error: Key no not found in map\n',
    );
    expect(await refused('vm-param-get', 'uuid=no', 'param-name=uuid')).toBe(
      'No object of this kind has this uuid.\ntype: VM\nuuid: no\n',
    );
    expect(await refused('vm-param-get', 'uuid=web-uuid')).toBe(
      "Required parameter not found: param-name\nFor usage run: 'xe help'\n",
    );
  });

  test('is set, several at once from left to right, keys of maps among them', async () => {
    await printed(
      'vm-param-set',
      'uuid=web-uuid',
      'name-description=new=',
      'other-config:key=other',
      'user-version=7',
    );
    const row = at.world.store.committed.require('VM', web);
    expect(row).toMatchObject({ name_description: 'new=', user_version: 7n });
    expect(row.other_config.get('key')).toBe('other');
    await printed('vm-param-set', 'uuid=web-uuid', 'name-description');
    expect(at.world.store.committed.require('VM', web).name_description).toBe('');
  });

  test('that cannot be set says why', async () => {
    const set = (word: string): Promise<string> => refused('vm-param-set', 'uuid=web-uuid', word);
    expect(await set('no-such=1')).toBe("Error: Unknown field 'no-such'\n");
    expect(await set('power-state=halted')).toBe("Error: Field 'power-state' is read-only.\n");
    expect(await set('tags=a')).toBe('Error: Cannot param-set on set fields\n');
    expect(await set('platform=a')).toBe(
      "Error: Field 'platform' is a map or set. use the 'name:key=value' syntax.\n",
    );
    expect(await set('user-version=x')).toContain('expecting an integer');
    expect(await set('is-a-template=perhaps')).toContain('expecting true or false');
  });

  test('is added to, removed from and cleared', async () => {
    const of = (...words: readonly string[]) => ['uuid=template-uuid', ...words];
    const row = () => at.world.store.committed.require('VM', template);
    await printed('vm-param-add', ...of('param-name=tags', 'param-key=new'));
    await printed('vm-param-add', ...of('param-name=xenstore-data', 'vm-data/a=1', 'vm-data/b=2'));
    expect(row().tags).toEqual(['new']);
    expect(row().xenstore_data.size).toBe(2);
    await printed('vm-param-remove', ...of('param-name=xenstore-data', 'param-key=vm-data/a'));
    expect([...row().xenstore_data.keys()]).toEqual(['vm-data/b']);
    expect(await refused('vm-param-remove', ...of('param-name=tags', 'param-key=no'))).toBe(
      'Error: Key no is not in the set\n',
    );
    expect(await refused('vm-param-remove', ...of('param-name=platform', 'param-key=no'))).toBe(
      'Error: Key no is not in map\n',
    );
    await printed('vm-param-clear', ...of('param-name=xenstore-data'));
    await printed('vm-param-clear', ...of('param-name=tags'));
    await printed('vm-param-clear', ...of('param-name=name-description'));
    expect(row()).toMatchObject({ tags: [], xenstore_data: new Map() });
  });
});

test('a user may do with a command what his role lets him do with calls, and no more', async () => {
  const session = await at.sessionWithRole('read-only');
  const { say } = await import('./client.ts');
  const by = { at: { port: at.port } };
  expect(await say(`session_id=${session}\r\nvm-list\r\n--minimal`, by)).toMatchObject({ status: 0 });
  const set = await say(`session_id=${session}\nvm-param-set\nuuid=web-uuid\nname-label=mine`, by);
  expect(set.status).toBe(1);
  expect(set.err).toMatch(/^The role of this user does not allow it\.\npermission: VM\.set_name_label\n/i);
  expect(at.world.store.committed.get('session', session)).toBeDefined();
});

test('who logs in with a wrong password, or as nobody, is told', async () => {
  const usage = "For usage run: 'xe help'\n";
  const by = { at: { port: at.port } };
  expect((await xe(['vm-list'], { ...by, password: 'wrong' })).err).toBe(`Authentication failed\n${usage}`);
  expect((await xe(['vm-list'], { ...by, user: '' })).err).toBe(
    `Username/password must be specified\n${usage}`,
  );
});

test('the session of a command ends with it', async () => {
  await printed('vm-list');
  await at.world.until(() =>
    [...at.world.store.committed.all('session')].every(([, { originator }]) => originator !== 'cli'),
  );
  expect(at.takeErrors()).toEqual([]);
});

describe('every command', () => {
  const commands = commandsOf(classes).filter(({ name }) => name !== 'help' && name !== 'event-wait');
  const atOnce = 40;
  let session: string;
  beforeAll(async () => {
    session = await at.session({ is_local_superuser: true });
  });

  /** Runs commands without a login for each, several at once. */
  const runAll = async (all: readonly (readonly string[])[]): Promise<readonly Said[]> => {
    const said: Said[] = [];
    const options: XeOptions = { at: { port: at.port }, typed: ['no', 'no'], transfer: async () => false };
    for (let i = 0; i < all.length; i += atOnce)
      said.push(
        ...(await Promise.all(
          all
            .slice(i, i + atOnce)
            .map((words) => say([`session_id=${session}`, ...words].join('\n'), options)),
        )),
      );
    return said;
  };

  test('says which of its parameters is not there', async () => {
    const needing = commands.filter(({ required = [] }) => required.length > 0);
    const said = await runAll(needing.map(({ name }) => [name]));
    expect(said.map(({ err, status }) => `${status} ${err}`)).toEqual(
      needing.map(
        ({ required }) => `1 Required parameter not found: ${required?.[0]}\nFor usage run: 'xe help'\n`,
      ),
    );
  });

  test('ends with a text where its parameters name nothing, and never with an error of the server', async () => {
    const lines = commands.map(({ name, required = [], selects }) => [
      ...[name, ...required.map((param) => `${param}=nothing`)],
      ...(selects === undefined ? [] : [`${selects}=nothing`]),
    ]);
    const wrong = (await runAll(lines)).flatMap(({ out, err, status }, i) => {
      const isTold = status === 0 || err !== '' || out !== '';
      // Some calls are for hosts of the pool alone, and say so in this way.
      const isOurs = /INTERNAL_ERROR|reason that its log/.test(err) && !err.includes('non-pool');
      return isTold && status !== undefined && !isOurs ? [] : [`${lines[i]?.join(' ')}: ${status} ${err}`];
    });
    expect(wrong).toEqual([]);
    expect(at.takeErrors()).toEqual([]);
  });
});

test('what is told of objects is as its golden file has it', async () => {
  const host = at.world.store.committed.require('host', at.world.host).uuid;
  const text: string[] = [];
  for (const line of [
    'diagnostic-vdi-status uuid=vdi-uuid',
    'diagnostic-vm-status uuid=web-uuid',
    'diagnostic-license-status',
    'vm-crashdump-list vm=web',
    'vm-is-bios-customized vm=web',
    'host-license-view',
    `host-all-editions --minimal`,
    'caller-list-usage',
    'vm-disk-list vm=web',
    'template-list params=uuid,name-label,tags',
    `host-param-get uuid=${host} param-name=enabled`,
  ]) {
    const { out, err, status } = await run(...line.split(' '));
    text.push(`== ${line}\n${out}${err}${status === 0 ? '' : `exit ${status}\n`}`);
  }
  const random = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
  const short = host.slice(0, 8);
  const told = text.join('').replaceAll(random, '<uuid>').replaceAll(short, '<short>');
  await expect(told).toMatchFileSnapshot('golden/told.txt');
  expect(at.takeErrors()).toEqual([]);
});
