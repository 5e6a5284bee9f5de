// Goal: what clients do by HTTP is allowed by role, as the one list of actions says it, and nobody's handler can forget to ask.
// Method: the list against recorded cases; and routes of every kind behind the real HTTP server, asked for by users of every role.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { consoleRoutes } from '../../src/edge/console.ts';
import { imageRoutes } from '../../src/edge/images.ts';
import type { Route } from '../../src/edge/route.ts';
import { permits, rolesThatPermit } from '../../src/model/derive.ts';
import { type HttpActionName, httpActions, httpPermission } from '../../src/objects/http-actions.ts';
import { anyTask, listedRoles } from '../../src/objects/roles.ts';
import { silentLog } from '../../src/std/log.ts';
import { conformance } from '../conformance.ts';
import { type Served, served } from './served.ts';

describe('the list of actions', () => {
  const cases = conformance('rbac_http');

  test('grants what is recorded', () => {
    for (const { when, then } of cases) {
      if (when['permission'] === anyTask.name) {
        expect(rolesThatPermit(anyTask.role)).toEqual(then['roles permitted']);
        continue;
      }
      const name = then['permission'].replace('http/', '').split('/')[0] as HttpActionName;
      const { role, certificate, name: permission } = httpPermission(name, when['sub action']);
      expect(permission).toBe(then['permission']);
      expect(rolesThatPermit(role, certificate), permission).toEqual(then['roles permitted']);
      expect(httpActions[name]).toMatchObject({ method: when['method'], path: when['uri'] });
      if ('RBAC check skipped' in then) {
        expect('open' in httpActions[name], permission).toBe(then['RBAC check skipped']);
      }
    }
  });

  test('names the paths at which the routes are', () => {
    const routes: readonly Route[] = [...imageRoutes({} as any), ...consoleRoutes({ log: silentLog } as any)];
    for (const { method, path, action } of routes) {
      const listed = httpActions[action as HttpActionName];
      expect(listed.path).toBe(path);
      expect(listed.method).toBe(method === 'UPGRADE' ? 'GET' : method);
    }
  });
});

describe('a route with an action', () => {
  let host: Served;
  beforeAll(async () => {
    const route = (path: string, action: HttpActionName, part?: string): Route => ({
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
