import type { HttpAnswer, HttpRequest } from '../../drivers/http/http.ts';
import type { RequestRoute } from '../../edge/route.ts';
import type { Sandbox } from './sandbox.ts';
import { readTrouble, TroubleUnusable } from './trouble-file.ts';

const bodyBytesMax = 1 << 20;

/**
 * `/sim`, for tests that need trouble at a moment of their choice.
 *
 * - `GET /sim`: hosts with what runs on them, and the rules in force.
 * - `POST /sim/hosts/NAME/down` and `/up`: takes a host's power away, and boots it again.
 * - `POST /sim/vms/UUID/poweroff`, `/reboot`, `/crash`: a guest does something by itself.
 * - `POST /sim/faults`: rules, as in a file of `--faults`, instead of those in force.
 */
export const controlRoutes = (pool: Sandbox): readonly RequestRoute[] => [
  {
    method: 'GET',
    path: '/sim',
    action: 'get_sim',
    handle: async (request, answer) => {
      if (request.path === '/sim') return say(answer, 200, statusOf(pool));
      say(answer, 404, { error: `There is nothing at ${request.path}` });
    },
  },
  {
    method: 'POST',
    path: '/sim',
    action: 'post_sim',
    handle: async (request, answer) => {
      const [, , what, name = '', act = ''] = request.path.split('/');
      if (what === 'hosts') return hostAct(pool, answer, name, act);
      if (what === 'vms') return guestAct(pool, answer, name, act);
      if (what === 'faults') return replaceRules(pool, request, answer);
      say(answer, 404, { error: 'Post to /sim/hosts/NAME/down, /sim/vms/UUID/crash or /sim/faults' });
    },
  },
];

const say = (answer: HttpAnswer, status: number, value: unknown): void =>
  answer.send(status, { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' }, [
    `${JSON.stringify(value)}\n`,
  ]);

const statusOf = (pool: Sandbox): object => ({
  hosts: pool.hosts.map(({ name, ref }) => ({ name, ref, up: pool.isUp(name), guests: pool.guestsOn(name) })),
  rules: pool.troubles.rules,
  carried: pool.carried,
});

const hostAct = async (pool: Sandbox, answer: HttpAnswer, name: string, act: string): Promise<void> => {
  const host = pool.hosts.find((one) => one.name === name);
  if (host === undefined) return say(answer, 404, { error: `There is no host ${name}` });
  if (act !== 'down' && act !== 'up') {
    return say(answer, 404, { error: `A host does down and up, not ${act || 'nothing'}` });
  }
  const done = act === 'down' ? pool.down(name) : await pool.up(name);
  if (done) return say(answer, 200, { name, up: act === 'up' });
  const isFirst = act === 'down' && pool.isUp(name);
  const error = isFirst
    ? `${name} is the coordinator, which serves you and stays up`
    : `${name} is ${act} already`;
  say(answer, 409, { error });
};

const guestAct = (pool: Sandbox, answer: HttpAnswer, vm: string, act: string): void => {
  if (act !== 'poweroff' && act !== 'reboot' && act !== 'crash') {
    say(answer, 404, { error: `A guest does poweroff, reboot and crash, not ${act || 'nothing'}` });
  } else if (pool.act(vm, act)) say(answer, 200, { vm, act });
  else say(answer, 409, { error: `No VM with uuid ${vm} runs` });
};

const replaceRules = async (pool: Sandbox, request: HttpRequest, answer: HttpAnswer): Promise<void> => {
  const text = (await request.bytes({ bytesMax: bodyBytesMax, withinMs: 60_000 })).toString('utf8');
  try {
    const { rules, hosts } = readTrouble(text, pool.known);
    if (hosts.length > 0) {
      return say(answer, 400, { error: 'Hosts are taken down by /sim/hosts/NAME/down; give rules only' });
    }
    pool.troubles.replace(rules);
    say(answer, 200, { rules: rules.length });
  } catch (error) {
    if (!(error instanceof TroubleUnusable)) throw error;
    say(answer, 400, { error: error.message });
  }
};
