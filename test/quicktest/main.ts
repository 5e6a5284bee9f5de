// `npm run quicktest -- --url URL --user U --password P`: scenarios against any XenAPI server, by its public wire
// alone. What is made is taken away again. Ends with 1 where a scenario failed, with 2 where none could begin.
import { parseArgs } from 'node:util';
import { asynchronous, basics } from './basics.ts';
import { contents } from './contents.ts';
import { diskScenarios } from './disks.ts';
import { doors } from './doors.ts';
import { events } from './events.ts';
import { machines, machinesOnDisks } from './machines.ts';
import { repositories } from './repositories.ts';
import { runAll, type Suite } from './running.ts';
import { type Client, connect } from './server.ts';
import { trackingScenarios } from './tracking.ts';

const usage = `npm run quicktest -- --url URL --user USER --password PASSWORD [option ...]

  --url         of the server: http or https, its certificate is not checked
  --password    or as QUICKTEST_PASSWORD, which other users of the machine do not see
  --only        scenarios whose name has one of these parts
  --except      scenarios whose name has none of these; large saves the most time
  --guest-acts  where a POST to PATH/UUID/reboot, /poweroff or /crash has a guest do so: /sim/vms of xenact sim`;

const suite: Suite = {
  scenarios: [...basics, ...events, ...doors, ...machines],
  onRepositories: [
    ...asynchronous,
    ...repositories,
    ...diskScenarios,
    ...trackingScenarios,
    ...contents,
    ...machinesOnDisks,
  ],
};

const options = () =>
  parseArgs({
    options: {
      url: { type: 'string' },
      user: { type: 'string', default: 'root' },
      password: { type: 'string', default: process.env['QUICKTEST_PASSWORD'] ?? '' },
      only: { type: 'string', default: '' },
      except: { type: 'string', default: '' },
      'guest-acts': { type: 'string' },
    },
  }).values;

const given = (): ReturnType<typeof options> & { readonly url: string } => {
  try {
    const found = options();
    if (found.url === undefined || !URL.canParse(found.url)) throw new Error('--url wants an address');
    return { ...found, url: found.url };
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`);
    process.exit(2);
  }
};

const { url, user, password, only, except, 'guest-acts': guestActs } = given();
const parts = (list: string): readonly string[] => list.split(',').filter(Boolean);
const stranger = connect({ url, user, password });
let server: Client;
try {
  server = await stranger.logIn();
} catch (error) {
  console.error(`${url} let nobody in: ${error instanceof Error ? error.message : error}`);
  process.exit(2);
}
const { passed, failed, skipped } = await runAll(
  server,
  suite,
  {
    only: parts(only),
    except: parts(except),
    basic: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
    ...(guestActs !== undefined && { guestActs }),
  },
  (line) => console.log(line),
);
await server.logOut();
stranger.close();
console.log(`quicktest: ${passed} passed, ${failed} failed, ${skipped} skipped`);
process.exitCode = failed > 0 ? 1 : 0;
