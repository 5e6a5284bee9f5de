import { lmdbDurable } from '../../src/store/lmdb.ts';
import { host, type Loose } from './hosts.ts';

// A program of its own: takes a whole copy into the folder that it is given and is killed in the middle of
// that, the given number of turns of the event loop after the write has begun.
const [folder = '', turns = '0'] = process.argv.slice(-2);

const leader = host();
await leader.lead(2);
await leader.commit((tx: Loose) => {
  for (let i = 0; i < 5_000; i++) tx.create('book', `new${i}`, { uuid: `new${i}` });
});

const die = (left: number): void => {
  if (left === 0) process.kill(process.pid, 'SIGKILL');
  else setImmediate(() => die(left - 1));
};
const real = lmdbDurable(folder);
const member = host({
  ...real,
  write: (group) => {
    const written = real.write(group);
    die(Number(turns));
    return written;
  },
});
await member.follow({ propose: () => Promise.reject(new Error('nobody leads')) });
await member.replace(leader.copy());
process.kill(process.pid, 'SIGKILL');
