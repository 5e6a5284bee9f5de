import { manualClock } from '../../manual-clock.ts';
import { type Adapter, against, byName, outcome } from '../subject.ts';
import { live } from './live.ts';

/** A failed login, and how long its answer took by the host's clock. */
const late = (method: string): Adapter => {
  const clock = manualClock();
  return live(
    async ({ host }, { when, then }) => {
      const beganMs = clock.now();
      const answer = host.json(method, when['uname'], when['pwd']);
      await clock.waiting(1);
      await clock.advance(60_000);
      const reply: any = await answer;
      const [code, user, reason] = reply.error;
      const seconds = (clock.now() - beganMs) / 1_000 >= (then['not before seconds'] ?? 0);
      return against(
        [code, user, typeof reason, seconds],
        ['SESSION_AUTHENTICATION_FAILED', 'root', 'string', true],
      );
    },
    { clock },
  );
};

const credentials = {
  verify: async (user: string, password: string) => `${user}:${password}` === 'root:pa:ss',
  setPassword: async () => {},
};

export const sessionsAndAuth = byName({
  'wrong password': late('session.login_with_password'),
  'slave_local_login_with_password with a bad password': late('session.slave_local_login_with_password'),
  'unknown session': live(async ({ host }, { when, then }) =>
    against(await host.json(when['call'], when['session']), then),
  ),
  'logged-out session': live(async ({ host }, { when }) => {
    const session = await host.session();
    await host.call('session.logout', session);
    return against(await host.json(when['call'], session), { error: ['SESSION_INVALID', session] });
  }),
  'change_password ignores the old password': live(
    async ({ tried }, { when }) => {
      const answer: any = await tried(when['call'], when['old_pwd'], when['new_pwd']);
      return against(answer?.error, undefined);
    },
    { services: { credentials } },
  ),
  'change_password by a session that is not the local superuser': live(
    async ({ host, root }, { when, then }) => {
      // Roles keep such sessions out already; this is what the call itself says where they do not.
      const caller = { session: root, user: 'root', role: 'pool-admin', originator: '' } as const;
      const answer = host.world.callAs(caller, when['call'], 'old', 'new');
      return against(await outcome(() => answer), then);
    },
    { services: { credentials } },
  ),
});
