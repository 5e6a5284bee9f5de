import { lmdbDurable } from '../../../src/store/lmdb.ts';
import { booksOf } from './pool.ts';
import { realHost } from './real-host.ts';

// A program of its own: a member that takes the log into the folder that it is given, and says each book that it has.
const [folder = '', ...endpoints] = process.argv.slice(-4);

const member = realHost('child', endpoints, { durable: lmdbDurable(folder) });
let told = 0;
member.store.watch(() => {
  const { size } = booksOf(member);
  if (size !== told) process.stdout.write(`${size}\n`);
  told = size;
});
