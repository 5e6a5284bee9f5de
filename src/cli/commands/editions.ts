import type { Command, CommandRun } from '../command.ts';
import { loaded } from '../confirm.ts';
import { poolRef } from '../lookup.ts';

// Editions and licences of hosts.

const hostOrThis = async ({ api, params }: CommandRun): Promise<string> => {
  const uuid = params.get('host-uuid');
  return uuid === undefined ? api.host : api.send('host.get_by_uuid', uuid);
};

/** Has hosts use another licence server while `apply` runs, and for good where that goes well. */
const withLicenceServer = async (
  { api, params }: CommandRun,
  hosts: readonly string[],
  apply: () => Promise<void>,
): Promise<void> => {
  const wanted = ['address', 'port'].flatMap((key): [string, string][] => {
    const value = params.get(`license-server-${key}`);
    return value === undefined ? [] : [[key, value]];
  });
  const before = new Map<string, unknown>();
  try {
    for (const host of wanted.length > 0 ? hosts : []) {
      const server: ReadonlyMap<string, string> = await api.send('host.get_license_server', host);
      before.set(host, server);
      await api.send('host.set_license_server', host, new Map([...server, ...wanted]));
    }
    await apply();
  } catch (error) {
    for (const [host, server] of before)
      await api.send('host.set_license_server', host, server).catch(() => {});
    throw error;
  }
};

const licenceServer = ['license-server-address', 'license-server-port'];

export const editionCommands: readonly Command[] = [
  {
    ...{ name: 'host-apply-edition', doc: 'Gives a host an edition.', required: ['edition'] },
    optional: ['host-uuid', ...licenceServer],
    run: async (run) => {
      const { api, params } = run;
      const host = await hostOrThis(run);
      const edition = params.need('edition');
      await withLicenceServer(run, [host], () => api.send('host.apply_edition', host, edition));
    },
  },
  {
    ...{ name: 'pool-apply-edition', doc: 'Gives all hosts an edition.', required: ['edition'] },
    optional: ['uuid', ...licenceServer],
    run: async (run) => {
      const { api, params } = run;
      const uuid = params.get('uuid');
      const pool = uuid === undefined ? await poolRef(api) : await api.send('pool.get_by_uuid', uuid);
      const hosts = (await api.send('host.get_all')) as readonly string[];
      const edition = params.need('edition');
      await withLicenceServer(run, hosts, () => api.send('pool.apply_edition', pool, edition));
    },
  },
  {
    ...{ name: 'host-license-add', doc: 'Gives a host a licence.', required: ['license-file'] },
    optional: ['host-uuid'],
    run: async (run) => {
      const { api, params, client } = run;
      const host = await hostOrThis(run);
      const file = params.need('license-file');
      await api.send('host.license_add', host, (await loaded(run, file, file)).toString('base64'));
      await client.tell({ kind: 'print', text: 'License applied.' });
    },
  },
];
