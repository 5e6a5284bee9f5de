// Goal: the command line of a simulated pool is read, and what cannot be obeyed is said with what to write instead.
// Method: the reader alone.
import { expect, test } from 'vitest';
import { UsageError } from '../../src/main/flags.ts';
import { readSimOptions, simFlags, simHelp } from '../../src/main/sim-options.ts';

test('what is not given has a default', () => {
  expect(readSimOptions([])).toMatchObject({
    ...{ size: { hosts: 4, vms: 100, srs: 2 }, seed: '1', latencyMs: [0, 0], listen: '127.0.0.1' },
    ...{ 'http-port': '8080', rootPassword: undefined, faults: undefined },
  });
});

test('a latency is one number or a range', () => {
  expect(readSimOptions(['--latency', '20']).latencyMs).toEqual([20, 20]);
  expect(readSimOptions(['--latency', '5-50']).latencyMs).toEqual([5, 50]);
});

test('the help names every flag', () => {
  for (const name of Object.keys(simFlags)) expect(simHelp()).toContain(`--${name} `);
});

test.each([
  [['--hosts', '0'], '--hosts must be a number from 1 to 256, not "0"'],
  [['--hosts', '257'], '--hosts must be'],
  [['--vms', '1e3'], '--vms must be a number'],
  [['--srs', '-1'], '--srs'],
  [['--latency', '50-5'], '--latency must be milliseconds'],
  [['--latency', 'slow'], '--latency must be milliseconds'],
  [['--http-port', '70000'], '--http-port must be a number from 0 to 65535'],
  [['--log-level', 'loud'], '--log-level must be debug'],
  [['--seed', ''], '--seed must not be empty'],
  [['--data', 'x'], 'xenact sim --help lists the flags'],
])('%j is refused', (args, message) => {
  expect(() => readSimOptions(args)).toThrow(UsageError);
  expect(() => readSimOptions(args)).toThrow(message);
});
