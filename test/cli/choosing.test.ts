// Goal: a command is done to the objects that its words choose, asked about first where that is due, and says
// which of them it failed for.
// Method: a world with a few VMs behind the real HTTP server.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import type { Ref } from '../../src/model/types.ts';
import { type Served, served } from '../edge/served.ts';
import { type Said, type XeOptions, xe } from './client.ts';

let at: Served;
beforeAll(async () => {
  at = await served({
    behaviours,
    rows: (tx) => {
      const vm = (name: string, fields: object) =>
        tx.create('VM', `OpaqueRef:${name}` as Ref<'VM'>, {
          ...{ uuid: `${name}-uuid`, name_label: name, power_state: 'Halted', is_a_template: false },
          ...fields,
        });
      vm('web', { tags: ['front'] });
      vm('db', { tags: ['back'] });
      vm('dom0', { is_control_domain: true });
      for (const name of ['old', 'older', 'base']) vm(name, { is_a_template: true });
    },
  });
});
afterAll(() => at.close());

const run = (words: readonly string[], more: Partial<XeOptions> = {}): Promise<Said> =>
  xe(words, { at: { port: at.port }, ...more });
const vms = (): readonly string[] => [...at.world.store.committed.all('VM')].map(([, row]) => row.name_label);

describe('the objects of a command', () => {
  test('are chosen by name, by uuid or by what their fields are', async () => {
    for (const word of ['vm=web', 'vm=web-uuid', 'uuid=web-uuid', 'tags:contains=front']) {
      const { out, status } = await run(['vm-compute-memory-overhead', word]);
      expect([out, status]).toEqual([expect.stringMatching(/^\d+\n$/), 0]);
    }
  });

  test('are neither templates nor the domain of a host', async () => {
    for (const word of ['vm=old', 'vm=dom0', 'vm=nobody'])
      expect(await run(['vm-pause', word])).toMatchObject({
        err: 'Error: No matching VMs found\n',
        status: 1,
      });
    expect((await run(['host-dmesg', 'host=nobody'])).err).toBe('Error: No matching hosts found\n');
  });

  test('may be several only where that is wanted', async () => {
    const two = ['vm-compute-memory-overhead'];
    expect((await run(two)).err).toBe(
      'Error: Multiple matches VMs found. --multiple required to complete the operation\n',
    );
    expect((await run([...two, '--multiple'])).out).toMatch(/^\d+\n\d+\n$/);
    const one = ['vm-disk-add', 'disk-size=1MiB', 'device=0', '--multiple'];
    expect((await run(one)).err).toBe(
      'Error: Multiple matches VMs found. Operation can only be performed on one VM at a time\n',
    );
  });

  test('that it fails for are named, and the others are done', async () => {
    const { out, status } = await run(['vm-pause', '--multiple']);
    expect(status).toBe(1);
    expect(out).toMatch(/^operation failed on web-uuid: .*halted\noperation failed on db-uuid: .*halted\n$/);
  });
});

describe('a question', () => {
  test('answered with anything but yes changes nothing, and is no failure', async () => {
    const { out, status } = await run(['template-uninstall', 'template-uuid=old-uuid'], {
      typed: ['perhaps'],
    });
    expect(status).toBe(0);
    expect(out).toBe(
      'The following items are about to be destroyed\nVM : old-uuid (old)\n' +
        "Type 'yes' to continue\nAborted (you typed: 'perhaps')\n",
    );
    expect(vms()).toContain('old');
  });

  test('answered with yes lets the command go on', async () => {
    const { out } = await run(['template-uninstall', 'template-uuid=old-uuid'], { typed: [' YES '] });
    expect(out).toMatch(/All objects destroyed\n$/);
    expect(vms()).not.toContain('old');
  });

  test('is not asked with force', async () => {
    const forced = await run(['template-uninstall', 'template-uuid=older-uuid', '--force']);
    expect(forced.out).toBe('All objects destroyed\n');
    expect(vms()).not.toContain('older');
  });
});

test('a VM is made of a template that is named, and nothing is left where that fails', async () => {
  const made = await run(['vm-install', 'template=base', 'new-name-label=new']);
  expect(made).toMatchObject({ err: '', status: 0 });
  expect(vms()).toContain('new');
  const failed = await run([
    'vm-install',
    'template=base',
    'new-name-label=half',
    'copy-bios-strings-from=no',
  ]);
  expect(failed).toMatchObject({ out: '', status: 1 });
  expect(vms()).not.toContain('half');
  expect(at.takeErrors()).toEqual([]);
});

test('a command can wait for an object to be as it is said', async () => {
  const by = ['event-wait', 'class=vm', 'name-label=web'];
  expect(await run([...by, 'power-state=/=running'])).toMatchObject({ out: '', err: '', status: 0 });
  const waiting = run([...by, 'name-description=there']);
  await at.world.store.commit((tx) =>
    tx.patch('VM', 'OpaqueRef:web' as Ref<'VM'>, { name_description: 'there' }),
  );
  expect(await waiting).toMatchObject({ out: '', err: '', status: 0 });
  expect((await run(['event-wait', 'class=nothing'])).err).toBe("Error: There is no class 'nothing'\n");
});

test('a command that shows how far it is ends as it does without', async () => {
  const done = await run(['vm-reset-powerstate', 'vm=web', '--force', 'progress=true']);
  expect(done).toMatchObject({ out: '', err: expect.stringMatching(/\r 100% . #{70}\n$/), status: 0 });
  const [shown, plain] = [await run(['vm-pause', 'vm=web', '--progress']), await run(['vm-pause', 'vm=web'])];
  expect(plain.status).toBe(1);
  expect(shown).toMatchObject({ status: 1, err: expect.stringContaining(plain.err) });
  expect([...at.world.store.latest.all('task')]).toEqual([]);
});
