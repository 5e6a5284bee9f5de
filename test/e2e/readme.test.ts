// Goal: what the README tells people to type works as it is printed.
// Method: the two programs of its first session are taken out of it and run against the built program
//   with QEMU; its flags and links, and those of the other pages, are looked up.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { adoptFlags } from '../../src/main/adopt-command.ts';
import { backupFlags } from '../../src/main/backup-command.ts';
import { divergedFlags } from '../../src/main/diverged-command.ts';
import { engineFlags } from '../../src/main/engine-command.ts';
import { inspectFlags } from '../../src/main/inspect.ts';
import { joinTokenFlags } from '../../src/main/join-token.ts';
import { leadFlags } from '../../src/main/lead-command.ts';
import { leaksFlags } from '../../src/main/leaks-command.ts';
import { upFlags } from '../../src/main/options.ts';
import { simFlags } from '../../src/main/sim-options.ts';
import { own } from '../../src/std/own.ts';
import { logIn } from './client.ts';
import { clean, has, newDataFolder, password, start, type Xenact } from './xenact.ts';

const readme = readFileSync('README.md', 'utf8');

const programIn = (language: string): string => {
  const found = [...readme.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter(([, one]) => one === language);
  expect(found, `programs in ${language}`).toHaveLength(1);
  return found[0]?.[2] as string;
};

const ranTo = async (program: string, args: readonly string[], cwd: string, environment = {}) => {
  const env = { ...process.env, ...environment };
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const [code] = await once(child, 'close');
  return { code, said: said.replaceAll('\r', '') };
};

/** A shell in a pseudo-terminal. */
const inTerminal = (environment: NodeJS.ProcessEnv) => {
  const env = { ...process.env, TERM: 'dumb', ...environment };
  const child = spawn('script', ['-qfec', 'bash --norc --noprofile -i', '/dev/null'], { env });
  let shown = '';
  let look = (): void => {};
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    shown += text;
    look();
  });
  return {
    type: (text: string) => void child.stdin.write(text),
    /** What is shown up to there is not looked at again. */
    until: (wanted: RegExp) =>
      new Promise<void>((resolve) => {
        look = () => {
          const found = wanted.exec(shown);
          if (found === null) return;
          look = () => {};
          shown = shown.slice(found.index + found[0].length);
          resolve();
        };
        look();
      }),
    ended: once(child, 'close').then(([code]) => code as number),
  };
};

const noQemu = !(has('qemu-system-x86_64') && has('qemu-img') && has('qemu-nbd'));

describe.skipIf(noQemu)('with QEMU installed, the first session', () => {
  let folder: string;
  let xenact: Xenact;
  beforeAll(async () => {
    folder = await newDataFolder();
    // Where a user saves the programs, their packages are.
    await mkdir(join(folder, 'clone'));
    await symlink(join(process.cwd(), 'node_modules'), join(folder, 'clone', 'node_modules'));
    xenact = await start(join(folder, 'data'), ['--hypervisor', 'qemu']);
  });
  afterAll(async () => {
    await xenact?.end('SIGTERM');
    if (folder !== undefined) await clean(folder);
  });

  const session = async (program: string, file: string, language: string) => {
    await writeFile(join(folder, 'clone', file), programIn(language));
    return ranTo(program, [file, xenact.http, password], join(folder, 'clone'));
  };
  const done = { code: 0, said: 'Running\nHello from the guest\n' };

  test('boots a guest from Node', async () => {
    expect(await session(process.execPath, 'first.mjs', 'js')).toEqual(done);
  });

  test.skipIf(!has('python3'))('boots a guest from Python', async () => {
    expect(await session('python3', 'first.py', 'python')).toEqual(done);
  });

  const xe = async (...words: readonly string[]): Promise<string> => {
    const environment = { XENACT_DATA: join(folder, 'data'), HOME: folder };
    const args = [join(process.cwd(), 'dist', 'src', 'main.js'), 'xe', ...words];
    const { code, said } = await ranTo(process.execPath, args, join(folder, 'clone'), environment);
    expect({ said, code }).toEqual({ said, code: 0 });
    return said.trim();
  };

  test('is seen on the command line, as it is printed there', async () => {
    const lines = [...readme.matchAll(/^node dist\/src\/main\.js xe (.*)$/gm)].map(([, words = '']) => words);
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(await xe(...line.split(' '))).not.toBe('');
  });

  test.skipIf(!(has('script') && has('bash')))(
    'has a command line that completes, helps, asks and shows how far it is in a terminal',
    async () => {
      const bin = join(folder, 'bin');
      await mkdir(bin);
      const main = join(process.cwd(), 'dist/src/main.js');
      const mode = 0o755;
      await writeFile(join(bin, 'xenact'), `#!/bin/sh\nexec ${process.execPath} ${main} "$@"\n`, { mode });
      const sr = await xe('sr-list', 'type=file', '--minimal');
      const disk = await xe('vdi-create', `sr-uuid=${sr}`, 'name-label=shown', 'virtual-size=1MiB');
      const template = await xe('template-list', '--minimal');
      const terminal = inTerminal({
        ...{ PATH: `${bin}:${process.env['PATH']}`, XENACT_DATA: join(folder, 'data'), HOME: folder },
      });
      // What is typed while a command runs is the command's.
      const prompt = /[#$] $/;
      const run = async (line: string, wanted: RegExp): Promise<void> => {
        terminal.type(`${line}\n`);
        await terminal.until(wanted);
      };
      await terminal.until(prompt);
      await run('source <(xenact xe completion bash)', /bash\)\r\n[\s\S]*[#$] $/);
      terminal.type('xenact xe vm-snapshot-wi\t');
      await terminal.until(/vm-snapshot-with-quiesce /);
      await run('\x15xenact xe help vm-start', /optional params : force, on, paused, <vm-selectors>/);
      await terminal.until(prompt);
      const out = join(folder, 'shown.raw');
      await run(`xenact xe vdi-export uuid=${disk} filename=${out}`, /\[#{40}\] 100 % 1\.0 MiB/);
      await terminal.until(prompt);
      await run(
        `xenact xe template-uninstall template-uuid=${template.split(',')[0]}`,
        /Type 'yes' to continue/,
      );
      await run('no', /Aborted \(you typed: 'no'\)/);
      await terminal.until(prompt);
      terminal.type('exit\n');
      expect(await terminal.ended).toBe(0);
    },
    60_000,
  );

  test('has a disk that goes in and out by the command line as it is', async () => {
    const sr = await xe('sr-list', 'type=file', '--minimal');
    const disk = await xe('vdi-create', `sr-uuid=${sr}`, 'name-label=disk', 'virtual-size=1MiB');
    const [into, out] = [join(folder, 'in.raw'), join(folder, 'out.raw')];
    await writeFile(into, Buffer.alloc(1 << 20, 'bytes of a disk'));
    await xe('vdi-import', `uuid=${disk}`, `filename=${into}`);
    await xe('vdi-export', `uuid=${disk}`, `filename=${out}`);
    expect((await readFile(out)).equals(await readFile(into))).toBe(true);
  });

  test('goes into a backup and comes back from it, as it is printed there', async () => {
    const there = { 'pool.backup': join(folder, 'backup'), 'NEW-FOLDER': join(folder, 'restored') };
    const vms = await xe('vm-list', 'params=uuid,name-label');
    for (const [, words = ''] of readme.matchAll(/^node (dist\/src\/main\.js (?:backup|restore) .*)$/gm)) {
      const args = words.split(' ').map((word) => own(there, word) ?? word);
      const ran = await ranTo(process.execPath, args, process.cwd(), { XENACT_DATA: join(folder, 'data') });
      expect(ran).toMatchObject({ code: 0 });
    }
    const restored = await start(there['NEW-FOLDER'], ['--hypervisor', 'qemu']);
    try {
      const { call } = await logIn(restored.http);
      const rows = (await call('VM.get_all_records')) as ReadonlyMap<string, any>;
      for (const row of rows.values()) {
        if (!row.get('is_a_template')) expect(vms).toContain(row.get('uuid'));
        if (!row.get('is_control_domain')) expect(row.get('power_state')).toBe('Halted');
      }
      expect([...rows.values()].filter((row) => !row.get('is_a_template')).length).toBeGreaterThan(1);
    } finally {
      await restored.end('SIGTERM');
    }
  });
});

describe('the pages', () => {
  const pages = [
    ...[
      'README.md',
      'CONTRIBUTING.md',
      'CHANGELOG.md',
      'docs/architecture.md',
      'docs/house.md',
      'docs/pool.md',
    ],
    ...readdirSync('docs/decisions').map((name) => `docs/decisions/${name}`),
  ];

  test('link to what is there', () => {
    const broken = pages.flatMap((page) =>
      [...readFileSync(page, 'utf8').matchAll(/\]\((?!https?:|#)([^)#]+)/g)]
        .map(([, link = '']) => link)
        .filter((link) => !existsSync(join(dirname(page), link)))
        .map((link) => `${page} -> ${link}`),
    );
    expect(broken).toEqual([]);
  });

  test('name paths of the tree that are there', () => {
    const named = /`((?:src|actors|test|scripts|docs)\/[\w./-]+)`/g;
    const missing = pages.flatMap((page) =>
      [...readFileSync(page, 'utf8').matchAll(named)]
        .map(([, path = '']) => path)
        .filter((path) => !existsSync(path))
        .map((path) => `${page}: ${path}`),
    );
    expect(missing).toEqual([]);
  });

  test('name flags and commands that are there', () => {
    const flags = [...readme.matchAll(/`[^`\n]*?--([a-z][a-z-]+)/g)].map(([, flag]) => flag);
    expect(flags.length).toBeGreaterThan(3);
    const known = {
      ...upFlags,
      ...simFlags,
      ...inspectFlags,
      ...joinTokenFlags,
      ...engineFlags,
      ...leadFlags,
      ...adoptFlags,
      ...divergedFlags,
      ...leaksFlags,
      ...backupFlags,
    };
    expect(flags.filter((flag) => flag !== 'help' && !Object.hasOwn(known, flag as string))).toEqual([]);
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8'));
    const commands = [...readme.matchAll(/npm (?:run )?(start|test|[a-z]+)\b(?= |`|\n)/g)].map(
      ([, name]) => name,
    );
    expect(commands.filter((name) => !Object.hasOwn(scripts, name as string))).toEqual([]);
  });
});
