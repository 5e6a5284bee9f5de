// Goal: roles tell truly what they permit, and subjects get and lose them without doubt.
// Method: messages of role, subject and user by wire name on one host in process; recorded permissions.
import { describe, expect, test } from 'vitest';
import { bootstrap } from '../../actors/pool/bootstrap.ts';
import role from '../../actors/role/behaviour.ts';
import subject from '../../actors/subject/behaviour.ts';
import user from '../../actors/user/behaviour.ts';
import type { Ref } from '../../src/model/types.ts';
import { roleRef } from '../../src/objects/roles.ts';
import { conformance } from '../conformance.ts';
import { machineFacts } from '../machine-facts.ts';
import { type World, world } from '../world.ts';

const opened = async (): Promise<World> => {
  const here = await world({ behaviours: [role, subject, user] });
  await bootstrap({
    ...here.services,
    facts: machineFacts(),
    name: 'pool',
    address: '127.0.0.1',
    version: '0.1.0',
  });
  return here;
};

const named = (members: object) => new Map(Object.entries(members));

describe('Roles', () => {
  test('permit exactly what is recorded of each message that is served', async () => {
    const cases = conformance('rbac_messages');
    const here = await opened();
    const names = ['pool-admin', 'pool-operator', 'vm-power-admin', 'vm-admin', 'vm-operator', 'read-only'];
    const held = new Map<string, ReadonlySet<string>>();
    for (const name of names) {
      held.set(name, new Set(await here.call('role.get_permissions_name_label', roleRef(name))));
    }
    let checked = 0;
    for (const { when, then } of cases) {
      const message = String(when['message']);
      if (here.catalog.find(message) === undefined) continue;
      const permission = then['permission'] ?? message.toLowerCase();
      const permitted = names.filter((name) => held.get(name)?.has(permission) === true);
      expect(permitted, permission).toEqual(
        then['roles permitted'].filter((one: string) => one !== 'client-cert'),
      );
      checked += 1;
    }
    expect(checked).toBeGreaterThan(900);
    await here.close();
  });

  test('are found by the name of a permission, which has the same reference in every pool', async () => {
    const here = await opened();
    expect(await here.call('role.get_by_permission_name_label', 'vm.start')).toEqual(
      ['vm-operator', 'vm-admin', 'vm-power-admin', 'pool-operator', 'pool-admin'].map(roleRef),
    );
    expect(await here.call('role.get_by_permission_name_label', 'no.such')).toEqual([]);
    const permissions = await here.call('role.get_permissions', roleRef('vm-operator'));
    expect(permissions).toContain(roleRef('vm.start'));
    expect(permissions).not.toContain(roleRef('pool.join'));
    await here.close();
  });
});

describe('Subjects', () => {
  test('have no role at first, and are known to a pool only once', async () => {
    const here = await opened();
    const fields = named({ subject_identifier: 'S-1', other_config: named({ 'subject-name': 'ann' }) });
    const ref = await here.call('subject.create', fields);
    expect(here.store.committed.require('subject', ref)).toMatchObject({
      subject_identifier: 'S-1',
      roles: [],
    });
    await expect(here.call('subject.create', fields)).rejects.toMatchObject({
      code: 'SUBJECT_ALREADY_EXISTS',
    });
    await here.close();
  });

  test('get and lose roles, never twice and never one that is not given to people', async () => {
    const here = await opened();
    const ref = await here.call('subject.create', named({ subject_identifier: 'S-1' }));
    const operator = roleRef('vm-operator');
    await here.call('subject.add_to_roles', ref, operator);
    await expect(here.call('subject.add_to_roles', ref, operator)).rejects.toMatchObject({
      code: 'ROLE_ALREADY_EXISTS',
    });
    for (const other of [roleRef('client-cert'), roleRef('nobody')]) {
      await expect(here.call('subject.add_to_roles', ref, other)).rejects.toMatchObject({
        code: 'ROLE_NOT_FOUND',
      });
    }
    await here.call('subject.add_to_roles', ref, roleRef('pool-admin'));
    await here.call('subject.remove_from_roles', ref, roleRef('pool-admin'));
    await expect(here.call('subject.remove_from_roles', ref, roleRef('pool-admin'))).rejects.toMatchObject({
      code: 'ROLE_NOT_FOUND',
    });
    const permissions = await here.call('subject.get_permissions_name_label', ref);
    expect(permissions).toContain('vm.start');
    expect(permissions).not.toContain('pool.join');
    await here.close();
  });

  test('take their sessions with them', async () => {
    const here = await opened();
    const ref = await here.call('subject.create', named({ subject_identifier: 'S-1' }));
    const session = 'OpaqueRef:session' as Ref<'session'>;
    await here.store.commit((tx) => tx.create('session', session, { subject: ref }));
    await here.call('subject.destroy', ref);
    expect(here.store.committed.get('session', session)).toBeUndefined();
    await here.close();
  });
});

describe('Users', () => {
  test('can be recorded and removed, except root', async () => {
    const here = await opened();
    const ref = await here.call('user.create', named({ short_name: 'ann', fullname: 'Ann' }));
    await here.call('user.destroy', ref);
    const [[root] = []] = [...here.store.committed.all('user')];
    await expect(here.call('user.destroy', root)).rejects.toMatchObject({ code: 'OPERATION_NOT_ALLOWED' });
    await here.close();
  });
});
