// Goal: what an agent in a guest says is told in the words that toolstacks know, bounded and only where it
//   has the expected form, whatever the guest sends; and a guest without an agent costs next to nothing.
// Method: an agent of the test's own at the other end of the line, with a clock that the test moves.
import { Duplex, duplexPair } from 'node:stream';
import { describe, expect, test } from 'vitest';
import { followAgent } from '../../../src/daemons/xenopsd/qemu/agent.ts';
import { agentLine } from '../../../src/daemons/xenopsd/qemu/agent-line.ts';
import { agentWords } from '../../../src/daemons/xenopsd/qemu/agent-words.ts';
import { requestRdp } from '../../../src/daemons/xenopsd/qemu/asking.ts';
import { folderAt } from '../../../src/daemons/xenopsd/qemu/folder.ts';
import type { QemuGuest } from '../../../src/daemons/xenopsd/qemu/live.ts';
import type { Network } from '../../../src/drivers/network.ts';
import { silentLog } from '../../../src/std/log.ts';
import { manualClock } from '../../manual-clock.ts';

const cards = new Map([['02:00:00:00:00:01', 3]]);
const interfaces = [
  { name: 'lo', 'ip-addresses': [{ 'ip-address': '127.0.0.1', 'ip-address-type': 'ipv4' }] },
  {
    'hardware-address': '02:00:00:00:00:01',
    'ip-addresses': [
      { 'ip-address': '10.0.2.15', 'ip-address-type': 'ipv4' },
      { 'ip-address': 'fe80::1', 'ip-address-type': 'ipv6' },
      { 'ip-address': '<script>', 'ip-address-type': 'ipv4' },
      { 'ip-address': '10.0.2.16', 'ip-address-type': 'ipv4' },
    ],
  },
];
const system = { 'pretty-name': 'A Linux', 'version-id': '12.5', id: 'x', 'kernel-release': '6.1' };

type Reply = (asked: { execute: string; arguments: Record<string, unknown> }) => string | undefined;

/** Answers each question with what `reply` makes of it; questions that it is silent about are kept. */
const guestWith = (end: Duplex, reply: Reply): string[] => {
  const asked: string[] = [];
  let rest = '';
  end.on('data', (bytes: Buffer) => {
    rest += bytes.toString('latin1').replaceAll('\xff', '');
    const lines = rest.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const question = JSON.parse(line);
      asked.push(question.execute);
      const answer = reply(question);
      if (answer !== undefined) end.write(Buffer.from(answer, 'latin1'));
    }
  });
  return asked;
};

const honest: Reply = ({ execute, arguments: { id } }) => {
  const answers: Record<string, unknown> = {
    'guest-sync-delimited': id,
    'guest-info': { version: '7.2.22' },
    'guest-get-osinfo': system,
    'guest-get-host-name': { 'host-name': 'a-guest' },
    'guest-network-get-interfaces': interfaces,
    'guest-shutdown': undefined,
  };
  const mark = execute === 'guest-sync-delimited' ? '\xff' : '';
  return answers[execute] === undefined
    ? undefined
    : `${mark}${JSON.stringify({ return: answers[execute] })}\n`;
};

describe('The words of an agent', () => {
  test('are those of the agents of Xen, by the position of a card', () => {
    const host = { 'host-name': 'a-guest' };
    expect(
      Object.fromEntries(agentWords({ info: { version: '7.2.22' }, system, host, interfaces }, cards)),
    ).toEqual({
      'attr/PVAddons/Installed': '1',
      'attr/PVAddons/MajorVersion': '7',
      'attr/PVAddons/MinorVersion': '2',
      'attr/PVAddons/MicroVersion': '22',
      'attr/PVAddons/BuildVersion': '0',
      'data/os_name': 'A Linux',
      'data/os_uname': '6.1',
      'data/os_distro': 'x',
      'data/os_majorver': '12',
      'data/os_minorver': '5',
      'data/host_name': 'a-guest',
      'attr/vif/3/ipv4/0': '10.0.2.15',
      'attr/vif/3/ipv4/1': '10.0.2.16',
      'attr/vif/3/ipv6/0': 'fe80::1',
    });
  });

  test('are few, short and plain, whatever the guest says', () => {
    const many = Array.from({ length: 1_000 }, (_, i) => ({
      'ip-address': `10.0.0.${i}`,
      'ip-address-type': 'ipv4',
    }));
    const said = agentWords(
      {
        info: 'no version',
        system: {
          'pretty-name': `a\0b\u202e${'x'.repeat(5_000)}`,
          'version-id': ['12'],
          id: { toString: 1 },
        },
        host: [null],
        interfaces: Array(5_000).fill({ 'hardware-address': '02:00:00:00:00:01', 'ip-addresses': many }),
      },
      cards,
    );
    expect(said.get('data/os_name')).toBe(`ab${'x'.repeat(254)}`);
    expect([...said.keys()].filter((key) => key.startsWith('attr/vif/3/'))).toHaveLength(16);
    expect(said.get('attr/PVAddons/MajorVersion')).toBe('0');
    expect(said.has('data/os_distro') || said.has('data/host_name')).toBe(false);
    for (const odd of [undefined, null, 7, 'x', { a: 1 }, [null, 3, { 'ip-addresses': 7 }]]) {
      expect(agentWords({ info: odd, system: odd, host: odd, interfaces: odd }, cards).size).toBe(5);
    }
  });
});

describe('The line of an agent', () => {
  const setUp = (reply: Reply) => {
    const clock = manualClock();
    const [ours, guest] = duplexPair();
    return { clock, ours, guest, asked: guestWith(guest, reply), line: agentLine(ours, clock) };
  };

  test('passes over what was in it before', async () => {
    const { line, guest } = setUp(honest);
    guest.write('no JSON\n{"return": 99}\n[]\n{"error": {}}\n');
    expect(await line.find()).toBe(true);
    expect(await line.ask('guest-get-host-name')).toEqual({ value: { 'host-name': 'a-guest' } });
  });

  test('is given up when a line never ends, and not filled when nobody reads', async () => {
    const { line, guest, ours, clock } = setUp(() => undefined);
    const looked = line.find();
    guest.write(`"${'x'.repeat(300 * 1024)}`);
    await clock.advance(3_000);
    expect(await looked).toBe(false);
    expect(ours.destroyed).toBe(true);
    const stuck = new Duplex({ read: () => {}, write: () => {} });
    const full = agentLine(stuck, clock);
    const first = full.find();
    await clock.advance(3_000);
    expect(await first).toBe(false);
    const waiting = stuck.writableLength;
    expect(await full.find()).toBe(false);
    expect(stuck.writableLength).toBe(waiting);
  });
});

describe('An agent that is followed', () => {
  const follow = (reply: Reply) => {
    const clock = manualClock();
    const [ours, guest] = duplexPair();
    const asked = guestWith(guest, reply);
    const told: ReadonlyMap<string, string>[] = [];
    const network = { connect: async () => ours } as unknown as Network;
    const agent = followAgent({
      ...{ network, clock, log: silentLog, folder: folderAt('/nowhere') },
      cards: async () => cards,
      onWords: (words) => void told.push(words),
    });
    /** Until it has begun to wait for its next look. */
    const look = async (): Promise<void> => {
      const before = asked.length;
      await clock.advance(5_000);
      while (asked.length === before) await turn();
      for (let turns = 0; turns < 50; turns += 1) await turn();
    };
    return { clock, agent, asked, told, look };
  };
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

  test('is told of when it changes, and that it went', async () => {
    let isThere = true;
    const { agent, told, look, clock } = follow((question) => (isThere ? honest(question) : undefined));
    await look();
    await look();
    expect(told).toHaveLength(1);
    expect(told[0]?.get('attr/vif/3/ipv4/0')).toBe('10.0.2.15');
    isThere = false;
    await look();
    await clock.advance(3_000);
    for (let turns = 0; turns < 50; turns += 1) await turn();
    expect(told.slice(1).map(({ size }) => size)).toEqual([0]);
    agent.close();
  });

  test('is asked to shut the guest down where it is there, and takes it by going away', async () => {
    const { agent, look, asked, clock } = follow(honest);
    expect(await agent.ask('poweroff')).toBe(false);
    await look();
    const done = agent.ask('reboot');
    while (!asked.includes('guest-shutdown')) await turn();
    await clock.advance(1_000);
    expect(await done).toBe(true);
    agent.close();
  });

  test('that refuses leaves the shutdown to the power button', async () => {
    const refuses: Reply = (question) =>
      question.execute === 'guest-shutdown' ? '{"error": {"desc": "disabled"}}\n' : honest(question);
    const { agent, look } = follow(refuses);
    await look();
    expect(await agent.ask('poweroff')).toBe(false);
    agent.close();
  });

  test('runs a script by the shell of its guest, and says what came of it once it has ended', async () => {
    let looks = 0;
    const runs: Reply = (question) => {
      const answer = (value: unknown): string => `${JSON.stringify({ return: value })}\n`;
      if (question.execute === 'guest-exec') return answer({ pid: 7 });
      if (question.execute !== 'guest-exec-status') return honest(question);
      looks += 1;
      const told = Buffer.from('said').toString('base64');
      return answer(looks < 3 ? { exited: false } : { exited: true, exitcode: 2, 'out-data': told });
    };
    const { agent, clock } = follow(runs);
    const done = agent.run('whoami', new AbortController().signal);
    while (looks < 3) {
      // The next look of its own, and the next at the script.
      await clock.waiting(2);
      await clock.advance(250);
      for (let turns = 0; turns < 50; turns += 1) await turn();
    }
    expect(await done).toEqual({ rc: 2, stdout: 'said', stderr: '' });
    agent.close();
  });

  test('that runs no scripts, or went, fails the one who asks for it', async () => {
    const refuses: Reply = (question) =>
      question.execute === 'guest-exec' ? '{"error": {"desc": "disabled"}}\n' : honest(question);
    const { agent } = follow(refuses);
    await expect(agent.run('whoami', new AbortController().signal)).rejects.toMatchObject({
      tag: 'Failed_to_run_script',
    });
    agent.close();
    const gone = follow(() => undefined);
    const failed = expect(gone.agent.run('x', new AbortController().signal)).rejects.toMatchObject({
      tag: 'Failed_to_run_script',
    });
    for (let turns = 0; turns < 50; turns += 1) await turn();
    await gone.clock.advance(3_000);
    await failed;
    gone.agent.close();
  });

  test('offers remote desktop where its guest is Windows, and sets it there', async () => {
    const scripts: unknown[] = [];
    const windows: Reply = (question) => {
      const answer = (value: unknown): string => `${JSON.stringify({ return: value })}\n`;
      if (question.execute === 'guest-get-osinfo') return answer({ ...system, id: 'mswindows' });
      if (question.execute === 'guest-exec-status') return answer({ exited: true, exitcode: 0 });
      if (question.execute !== 'guest-exec') return honest(question);
      scripts.push(question.arguments);
      return answer({ pid: 7 });
    };
    const { agent, clock, look, told } = follow(windows);
    await look();
    expect(told[0]?.get('control/feature-ts2')).toBe('1');
    const done = requestRdp({ agent } as unknown as QemuGuest, true);
    while (scripts.length === 0) await turn();
    await clock.waiting(2);
    await clock.advance(250);
    await done;
    const arg = ['/c', expect.stringContaining('fDenyTSConnections /t REG_DWORD /d 0')];
    expect(scripts).toEqual([{ path: 'cmd.exe', arg, 'capture-output': true }]);
    agent.close();
  });
});
