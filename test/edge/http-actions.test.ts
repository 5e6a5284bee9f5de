// Goal: what clients do by HTTP is allowed by role, as the one list of actions says it, and nobody's handler can forget to ask.
// Method: the list against recorded cases; and routes of every kind behind the real HTTP server, asked for by users of every role.
import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { actionRoutes } from '../../src/edge/actions.ts';
import type { Route } from '../../src/edge/route.ts';
import { permits, rolesThatPermit } from '../../src/model/derive.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { type HttpAction, httpAction, httpPermission } from '../../src/objects/http-actions.ts';
import { anyTask, listedRoles } from '../../src/objects/roles.ts';
import { conformance } from '../conformance.ts';
import { referenceJson } from '../reference.ts';
import { type Served, served } from './served.ts';

interface Listed {
  readonly name: string;
  readonly method: string;
  readonly uri: string;
  readonly sub_actions: object;
}
const reference = referenceJson<{ readonly http_actions: readonly Listed[] }>('datamodel.json');

const catalog = catalogOf(classes, behaviours);
const declared = (name: string): HttpAction => {
  const action = httpAction(catalog, name);
  if (action === undefined) throw new Error(`Nobody declares ${name}`);
  return action;
};

describe('the actions that classes declare', () => {
  const cases = conformance('rbac_http');

  test('grants what is recorded', () => {
    for (const { when, then } of cases) {
      if (when['permission'] === anyTask.name) {
        expect(rolesThatPermit(anyTask.role)).toEqual(then['roles permitted']);
        continue;
      }
      const action = declared(then['permission'].replace('http/', '').split('/')[0]);
      const { role, certificate, name: permission } = httpPermission(action, when['sub action']);
      expect(permission).toBe(then['permission']);
      expect(rolesThatPermit(role, certificate), permission).toEqual(then['roles permitted']);
      expect(action).toMatchObject({ method: when['method'], path: when['uri'] });
      if ('RBAC check skipped' in then) {
        expect('open' in action, permission).toBe(then['RBAC check skipped']);
      }
    }
  });

  test('are all of the XenAPI, each named once, as the XenAPI has them', () => {
    expect(new Set(catalog.actions.map(({ name }) => name)).size).toBe(catalog.actions.length);
    for (const { name, method, uri, sub_actions } of reference.http_actions) {
      expect(declared(name)).toMatchObject({ method, path: uri });
      expect(Object.keys(declared(name).parts ?? {})).toEqual(Object.keys(sub_actions));
    }
  });

  test('are served at their paths where they are built', () => {
    const routes = actionRoutes({ catalog } as never);
    expect(routes.map(({ action }) => action)).toContain('put_import_raw_vdi');
    for (const { method, path, action } of routes) {
      const listed = declared(action);
      expect(listed.path).toBe(path);
      expect(listed.method).toBe(method === 'UPGRADE' ? 'GET' : method);
    }
  });

  test('are not messages: no call names them', () => {
    for (const { method, name } of catalog.actions)
      for (const called of [method, name]) expect(catalog.find(called)).toBeUndefined();
  });
});

describe('a route with an action', () => {
  let host: Served;
  beforeAll(async () => {
    const route = (path: string, action: string, part?: string): Route => ({
      method: 'GET',
      path,
      action,
      handle: async (_, answer, context) => {
        await context.caller(part);
        answer.send(200, {}, ['in']);
      },
    });
    host = await served({
      routes: [route('/export', 'get_export'), route('/screen', 'get_vncsnapshot', 'host_console')],
    });
  });
  afterAll(() => host.close());

  test('lets in the roles that the list names, and tells the others what they lack', async () => {
    for (const role of listedRoles) {
      const session = await host.sessionWithRole(role);
      for (const [path, needs] of [
        ['/export', 'vm-admin'],
        ['/screen', 'pool-admin'],
      ] as const) {
        const { status } = await host.http('GET', `${path}?session_id=${session}`);
        expect(status, `${role} ${path}`).toBe(permits(role, needs) ? 200 : 403);
      }
    }
    const reader = await host.sessionWithRole('read-only');
    const { body } = await host.http('GET', `/screen?session_id=${reader}`);
    expect(body).toContain('http/get_vncsnapshot');
    expect((await host.http('GET', '/export')).status).toBe(401);
  });
});

test('the edge knows no class but those by which callers and their tasks are known', () => {
  const sources = readdirSync('src/edge').map((name) => readFileSync(`src/edge/${name}`, 'utf8'));
  const names: readonly string[] = classes.map(({ name }) => name);
  const asked = sources.flatMap((source) => [
    ...source.matchAll(/\b(?:get|require|all|byUuid|only|patch|create|referring)\('(\w+)'/g),
  ]);
  const known = new Set(asked.map(([, name = '']) => name).filter((name) => names.includes(name)));
  // The query of one page of our own has a `host`.
  expect([...known].filter((name) => name !== 'host').toSorted()).toEqual([
    'Caller',
    'Rate_limit',
    'session',
    'task',
  ]);
});
