import { chmod, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// A driver of SMAPIv1 whose disks are nothing but the rows that it writes by calling back.

/** A folder with the driver `notes`, which calls back by the socket `xapi` in it. */
export const folderOfNotes = async (): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), 'sm-'));
  const path = join(folder, 'NotesSR');
  await writeFile(path, program(join(folder, 'xapi')));
  await chmod(path, 0o755);
  return folder;
};

const program = (socketPath: string): string => `#!${process.execPath}
const { request } = require('node:http');
const asked = process.argv[2];
const member = (name) => new RegExp('<name>' + name + '</name><value>([^<]*)</value>').exec(asked)?.[1] ?? '';
const args = [.../<name>args<\\/name>(.*?)<\\/data>/.exec(asked)[1].matchAll(/<value>([^<]*)<\\/value>|<value\\/>/g)].map(
  ([, text = '']) => text,
);
const value = (one) =>
  typeof one === 'boolean' ? '<value><boolean>' + (one ? 1 : 0) + '</boolean></value>'
    : Array.isArray(one) ? '<value><array><data>' + one.map(value).join('') + '</data></array></value>'
      : typeof one === 'string' ? '<value>' + one + '</value>'
        : '<value><struct>' + Object.entries(one)
            .map(([name, each]) => '<member><name>' + name + '</name>' + value(each) + '</member>')
            .join('') + '</struct></value>';
const call = (method, ...params) =>
  new Promise((resolve, reject) => {
    const sent = request({ socketPath: ${JSON.stringify(socketPath)}, method: 'POST', path: '/' }, async (response) => {
      let text = '';
      for await (const part of response) text += part;
      if (text.includes('Success')) resolve(text);
      else reject(new Error(text));
    });
    sent.on('error', reject);
    sent.end('<methodCall><methodName>' + method + '</methodName><params>' +
      [member('session_ref'), ...params].map((one) => '<param>' + value(one) + '</param>').join('') +
      '</params></methodCall>');
  });
const about = {
  name: 'notes', description: '', vendor: '', copyright: '', driver_version: '1', required_api_version: '1.1',
  capabilities: ['VDI_CREATE', 'VDI_DELETE'], configuration: [],
};
const create = async ([size, label, description]) => {
  const location = 'note-' + process.pid;
  const epoch = '19700101T00:00:00Z';
  await call('VDI.db_introduce', '', label, description, member('sr_ref'), member('vdi_type'), false, false, {},
    location, {}, {}, true, size, size, '', false, epoch, '', false);
  return { location, uuid: location };
};
const commands = {
  sr_get_driver_info: () => about,
  vdi_create: create,
  vdi_delete: async () => void (await call('VDI.db_forget', member('vdi_ref'))),
};
const run = commands[member('command')] ?? (() => undefined);
Promise.resolve(run(args)).then((said) =>
  console.log('<methodResponse><params><param>' +
    (said === undefined ? '<value><nil/></value>' : value(said)) + '</param></params></methodResponse>'),
);
`;
