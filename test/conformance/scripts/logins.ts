import { roleRef } from '../../../src/objects/roles.ts';
import { giveRole } from '../../../src/rules/local-users.ts';
import { type ManualClock, manualClock } from '../../manual-clock.ts';
import { type Adapter, outcome, skip } from '../subject.ts';
import { call, common, type Pair, type Phrase, type Scene, told } from './prose.ts';

const password = 'pa:ss';

/** Passwords that cases tell in words. */
const rightForm = /^(the |a |an )?(right|correct|good|valid|proper|old|present|root|user)\b.*$/;

/** What a case moves itself: the clock, and how it learns that a password is looked at. */
interface Stage {
  readonly clock: ManualClock;
  readonly looked: Promise<void>;
}
const stages = new WeakMap<object, Stage>();

const options = () => {
  const clock = manualClock();
  let look = (): void => {};
  const looked = new Promise<void>((resolve) => {
    look = resolve;
  });
  const credentials = {
    // Who may log in at all is a matter of subjects; a password is one that all have.
    verify: async (_user: string, given: string) => {
      look();
      return given === password;
    },
    setPassword: async () => {},
  };
  stages.set(clock, { clock, looked });
  return { clock, services: { credentials } };
};

const stageOf = ({ host }: Scene): Stage =>
  stages.get(host.world.services.clock) ?? skip('it has no clock of its own');

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** `uname` and `pwd` as they are sent. */
const said = ({ one }: Scene, local: boolean): Readonly<Record<string, unknown>> => {
  const { uname = one.given['user'] ?? (local ? 'root' : 'someone'), pwd = password, ...rest } = one.when;
  return { uname, pwd: rightForm.test(pwd) ? password : pwd, ...rest };
};

/** A refused login is answered late: the clock is moved to just before it may be, and then on. */
const login = async (scene: Scene, method: string, args?: object): Promise<void> => {
  const { clock, looked } = stageOf(scene);
  const isLocal = method !== 'session.login_with_password' || scene.kept.get('external') !== true;
  let isAnswered = false;
  const answer = call(scene, method, args ?? said(scene, isLocal)).finally(() => {
    isAnswered = true;
  });
  await Promise.race([looked, answer]);
  await clock.advance(Math.max(0, Number(scene.one.then['not before seconds'] ?? 0) * 1_000 - 1));
  for (let i = 0; i < 2_000; i += 1) await turn();
  scene.kept.set('early', isAnswered);
  for (let i = 0; i < 1_000 && !isAnswered; i += 1) await clock.advance(1_000);
  await answer;
  if (typeof scene.answer === 'string') scene.objects.adopt('session', scene.answer);
};

const subject = async (scene: Scene, text: string): Promise<void> => {
  if (/suspended|disabled|expired|locked/.test(text)) skip('users of the product cannot be suspended');
  if (/\b(?<!nor a )group\b/.test(text) && !/neither|not\b/.test(text)) skip('there are no groups of users');
  scene.kept.set('external', true);
  if (/neither|not listed|empty/.test(text)) return;
  const { uname = 'someone' } = scene.one.when;
  const [, role = 'read-only'] = /((?:read-only|(?:vm|pool)-[a-z-]+))/.exec(text) ?? [];
  const isBare = /without (?:any )?roles?|no roles?/.test(text);
  await scene.rows((tx) => {
    const { services } = scene.host.world;
    // As the pool has them once it has started.
    tx.create('role', roleRef(role), { uuid: role, name_label: role });
    giveRole(tx, services, uname, role);
  });
  if (!isBare) return;
  await scene.rows((tx) => {
    for (const [ref] of [...tx.all('subject')]) tx.patch('subject', ref, { roles: [] });
  });
};

const loggedOut = async (scene: Scene, name: string): Promise<void> => {
  const session = await scene.host.session();
  scene.objects.bind(name, session);
  await scene.host.call('session.logout', session);
};

const given: readonly Phrase<void>[] = [
  [/^external auth: (on|off)$/, ({ kept }, [how]) => void kept.set('external', how === 'on')],
  [/^(?:subject|subject list|subjects): (.*)$/, (scene, [text = '']) => subject(scene, text)],
  [/^(?:user|uname): /, () => {}],
  [/^session: (<.+>), logged out$/, (scene, [name = '']) => loggedOut(scene, name)],
  [
    /^session: from slave_local_login/,
    async (scene) => {
      const reply = await scene.host.json('session.slave_local_login_with_password', 'root', password);
      scene.session =
        'value' in reply ? String(reply.value) : skip('no session of one host alone could be had');
    },
  ],
  [
    /^session\.is_local_superuser: (true|false)$/,
    ({ kept }, [is]) => void kept.set('superuser', is === 'true'),
  ],
  [/^connection: local unix socket/, () => skip('there is no socket by which a login needs no password')],
  [/^logins: /, () => skip('there is no report of failed logins by client; they are logged by address')],
  ...common.given,
];

/** Roles keep others out before the call is made; this is what it says itself where they do not. */
const changePassword = async (scene: Scene): Promise<void> => {
  const { old_pwd = password, new_pwd = 'new' } = scene.one.when;
  if (!rightForm.test(old_pwd) && old_pwd !== password && 'ok' in scene.one.then) {
    skip(
      'differs on purpose: the present password is asked for, as a session that was stolen is no proof of its user',
    );
  }
  if (/refuse/.test(new_pwd)) skip('there are no password tools of the system that refuse one');
  const old = rightForm.test(old_pwd) ? password : old_pwd;
  if (scene.kept.get('superuser') !== false)
    return login(scene, 'session.change_password', { old_pwd: old, new_pwd });
  const caller = {
    session: scene.host.world.pool,
    user: 'root',
    role: 'pool-admin',
    originator: '',
  } as never;
  scene.answer = await outcome(() =>
    scene.host.world.callAs(caller, 'session.change_password', old, new_pwd),
  );
};

const when: readonly Phrase<void>[] = [
  [/^session\.change_password$/, changePassword],
  [/^(session\.\w*login_with_password)$/, (scene, [method = '']) => login(scene, method)],
  [
    /^(\w+\.\w+)$/,
    (scene, [method = '']) => {
      const { session } = scene.one.when;
      if (session !== undefined) scene.session = scene.objects.known(session) ?? session;
      return call(scene, method);
    },
  ],
  ...common.when,
];

const expects: readonly Phrase<Pair | undefined>[] = [
  [/^not before seconds: /, ({ kept }) => [kept.get('early'), false]],
  ...common.expects,
];

export const sessionsAndAuth: Adapter = told({ given, when, expects, options });
