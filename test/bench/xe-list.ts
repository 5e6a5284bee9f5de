import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { greeting } from '../../src/cli/frames.ts';
import { xmlCall } from '../../src/codec/xmlrpc-writer.ts';
import { figure, secondsOf, verdict } from './figures.ts';
import { openPool } from './pool.ts';
import { seedPool } from './seed.ts';
import { sized } from './sizes.ts';
import { openWire, posting } from './wire.ts';

const rounds = sized(15, 2);
const vmCount = sized(5_000, 50);

/** `xe vm-list` as it is, beside the call that it makes, both by clients that only count what comes. */
export const xeList = async (print: (line: string) => void): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'xenact-bench-xe-'));
  await seedPool(folder, vmCount);
  const pool = await openPool(folder);
  try {
    const client = await pool.client();
    const { session } = client;
    const wire = await openWire(pool.port);
    const list = posting('/', xmlCall('VM.get_all_records', [session]));
    const call = (): Promise<unknown> => wire.ask(list);
    const command = (): Promise<number> => listed(pool.port, session);
    for (let i = 0; i < 3; i++) await call().then(command);
    const [calls, commands]: number[][] = [[], []] as const;
    for (let round = 0; round < rounds; round++) {
      calls.push((await secondsOf(call)) * 1000);
      commands.push((await secondsOf(command)) * 1000);
    }
    print(`xe vm-list of ${vmCount.toLocaleString('en')} VMs, ${rounds} rounds, median [least..most]`);
    print(figure('VM.get_all_records', calls, 1, ' ms'));
    print(figure('xe vm-list', commands, 1, ' ms'));
    const ratios = commands.map((ms, i) => ms / (calls[i] as number));
    print(verdict({ name: 'vm-list beside its call', values: ratios, atMost: 1.5 }));
    const all = await client.call('VM.get_all_records_where', 'field "is_a_template" = "false"');
    const missing = (all as ReadonlyMap<string, unknown>).size - (await listed(pool.port, session));
    print(`  wrong: VMs that are not listed ${Math.abs(missing)}`);
    wire.close();
  } finally {
    await pool.close();
    await rm(folder, { recursive: true, force: true });
  }
};

/** Runs the command to its end, and counts the VMs that are shown. */
const listed = async (port: number, session: string): Promise<number> => {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  const words = `session_id=${session}\nvm-list`;
  socket.write(`POST /cli HTTP/1.0\r\ncontent-length: ${words.length}\r\n\r\n${words}`);
  socket.write(greeting);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await once(socket, 'end');
  socket.destroy();
  return Buffer.concat(chunks).toString('latin1').split('uuid ( RO)').length - 1;
};
