// Goal: what `xenact up` is told is understood in the right order, or refused with what to write instead.
// Method: the reader of options alone, with an environment and a config file given as values.
import { describe, expect, test } from 'vitest';
import { UsageError } from '../../src/main/flags.ts';
import { readUpOptions, upFlags, upHelp } from '../../src/main/options.ts';

const read = (args: readonly string[], environment: Record<string, string> = {}, file = '{}') =>
  readUpOptions(args, environment, async () => file);

describe('the options of xenact up', () => {
  test('come from the command line, then the environment, then the config file, then the defaults', async () => {
    const file = '{"name": "file", "http-port": 1, "https-port": 2}';
    const environment = { XENACT_NAME: 'environment', XENACT_HTTP_PORT: '3', XENACT_CONFIG: 'xenact.json' };
    expect(await read(['--name', 'flag'], environment, file)).toMatchObject({
      name: 'flag',
      'http-port': '3',
      'https-port': '2',
      listen: '127.0.0.1',
    });
  });

  test('are refused when they are empty: an empty address would be every address', async () => {
    for (const flag of ['data', 'listen', 'root-password', 'sim-config']) {
      await expect(read([`--${flag}=`]), flag).rejects.toThrow(`--${flag} must not be empty`);
    }
    await expect(read([], { XENACT_LISTEN: '' })).rejects.toThrow(UsageError);
  });

  test.each([
    ['not JSON', '{', 'is not JSON'],
    ['a list', '[]', 'must hold one JSON object'],
    ['an unknown key', '{"htp-port": 1}', 'unknown key "htp-port"'],
    ['a value with parts', '{"http-port": {"a": 1}}', '"http-port" as a text or a number'],
    ['a value that is nothing', '{"name": null}', '"name" as a text or a number'],
  ])('refuse a config file that is or has %s', async (_, file, said) => {
    await expect(read(['--config', 'xenact.json'], {}, file)).rejects.toThrow(said);
  });

  test.each([
    [['--http-port', '65536'], '0 to 65535'],
    [['--hypervisor', 'vmware'], 'qemu, sim or unix:PATH'],
    [['--log-level', 'loud'], 'debug, info, warn or error'],
    [['--colour', 'red'], '--help'],
    [['here'], '--help'],
  ])('refuse %j', async (args, said) => {
    await expect(read(args)).rejects.toThrow(said);
  });

  test('are all in the help', () => {
    for (const flag of Object.keys(upFlags)) expect(upHelp()).toContain(`--${flag} `);
  });
});
