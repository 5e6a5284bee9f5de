// Goal: whatever is killed or refused, at each effect and at each write, what the notes say and where the
// backend is agree once somebody asks again, and nobody is stuck for good.
// Method: random commands on one volume, each with a fault at a random step or none, against a backend that
// takes no step that the interface does not promise; a process that was killed is opened again from its notes.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { DatapathBackend } from '../../../src/drivers/storage/datapath-holdings.ts';
import { type DiskAccess, superstate } from '../../../src/drivers/storage/datapath-state.ts';
import { type Datapaths, openDatapaths } from '../../../src/drivers/storage/datapaths.ts';
import type { StateFiles } from '../../../src/drivers/storage/state-files.ts';
import { turns } from '../../../src/drivers/storage/turns.ts';
import { silentLog } from '../../../src/std/log.ts';
import type { Struct } from '../../../src/std/value.ts';

const call = { debugInfo: 'test' };
const volume = { sr: 'sr', key: 'key' };

type Action = 'attach' | 'activate' | 'deactivate' | 'detach';
type Level = 'Detached' | readonly ['Attached' | 'Activated', DiskAccess];
/** `refuse` throws, `kill` ends the process: before the step is done, or after it. */
type Fault = { readonly step: number; readonly how: 'refuse' | 'kill'; readonly done: boolean };

/** What outlives a process. */
const world = () => {
  const notes = new Map<string, Struct>();
  let level: Level = 'Detached';
  let violation = '';
  const act = (action: Action, access: DiskAccess): void => {
    const at = level === 'Detached' ? level : level[0];
    const allowed: Readonly<Record<Action, readonly string[]>> = {
      attach: ['Detached'],
      activate: ['Attached'],
      // What was asked for may be asked for again; so may what takes back a step that was never done.
      deactivate: ['Activated', 'Attached'],
      detach: ['Attached', 'Detached'],
    };
    if (!allowed[action].includes(at)) violation ||= `${action} of one that is ${at}`;
    if (action === 'detach') level = 'Detached';
    else level = [action === 'activate' ? 'Activated' : 'Attached', access];
  };
  return {
    notes,
    act,
    level: () => level,
    violation: () => violation,
    forget: () => {
      level = 'Detached';
    },
  };
};
type World = ReturnType<typeof world>;

const openProcess = async (shared: World) => {
  let fault: Fault | undefined;
  let steps = 0;
  let dead = false;
  const step = async (kind: 'effect' | 'write', effect: () => void): Promise<void> => {
    if (dead) throw new Error('killed');
    const strikes = fault !== undefined && steps === fault.step ? fault : undefined;
    steps += 1;
    // A write that is refused leaves the note as it was.
    const does = strikes === undefined || (strikes.done && (kind === 'effect' || strikes.how === 'kill'));
    if (does) effect();
    if (strikes === undefined) return;
    dead = strikes.how === 'kill';
    throw new Error(strikes.how);
  };
  const backend: DatapathBackend = {
    locate: async () => ({ uri: 'raw:x', domain: '1' }),
    attach: async (_, __, access) => {
      await step('effect', () => shared.act('attach', access));
      return 'where it is';
    },
    drive: (_, __, action, access) => step('effect', () => shared.act(action, access)),
  };
  const files: StateFiles = {
    load: async () => new Map(shared.notes),
    put: (name, state) => step('write', () => void shared.notes.set(name, state)),
    remove: (name) => step('write', () => void shared.notes.delete(name)),
  };
  return {
    datapaths: await openDatapaths({ backend, files, turns: turns(10), log: silentLog }),
    isDead: () => dead,
    faultAt: (next: Fault | undefined) => {
      fault = next;
      steps = 0;
    },
  };
};

type Command = {
  readonly do:
    | 'attach RO'
    | 'attach RW'
    | 'activate'
    | 'deactivate'
    | 'detach'
    | 'end'
    | 'forget'
    | 'use'
    | 'free';
  readonly datapath: string;
  readonly fault: Fault | undefined;
};

const commands = fc.array(
  fc.record<Command>({
    do: fc.constantFrom(
      ...([
        'attach RO',
        'attach RW',
        'activate',
        'deactivate',
        'detach',
        'end',
        'forget',
        'use',
        'free',
      ] as const),
    ),
    datapath: fc.constantFrom('a', 'b', 'c'),
    fault: fc.option(
      fc.record({
        step: fc.nat({ max: 7 }),
        how: fc.constantFrom('refuse' as const, 'kill' as const),
        done: fc.boolean(),
      }),
      { nil: undefined },
    ),
  }),
  { maxLength: 40 },
);

const perform = async (datapaths: Datapaths, { do: what, datapath }: Command): Promise<unknown> => {
  const use = { ...volume, datapath, vm: '1' };
  switch (what) {
    case 'attach RO':
    case 'attach RW':
      return datapaths.attach(use, what === 'attach RO' ? 'RO' : 'RW', call);
    case 'activate':
    case 'deactivate':
    case 'detach':
      return datapaths[what](use, call);
    case 'end':
    case 'forget':
      return datapaths.destroy(datapath, what === 'forget', call);
    case 'use':
      return datapaths.withVolume(volume, call, async () => {});
    case 'free':
      return datapaths.withFreeSr(volume.sr, call, async () => {});
  }
};

const isSettled = (shared: World): boolean =>
  [...shared.notes.values()].every((state) => state.get('step') === undefined);

const agrees = (shared: World, datapaths: Datapaths): void => {
  expect(shared.violation()).toBe('');
  if (isSettled(shared))
    expect(shared.level()).toEqual(superstate(datapaths.statesOf(volume).states.values()));
};

it('Notes and backend agree after whatever was killed or refused, and all can be ended', async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (sequence) => {
      const shared = world();
      let process = await openProcess(shared);
      for (const command of sequence) {
        process.faultAt(command.fault);
        const done = await perform(process.datapaths, command).then(
          () => true,
          () => false,
        );
        if (process.isDead()) {
          process = await openProcess(shared);
          continue;
        }
        process.faultAt(undefined);
        // What may be forgotten while its backend still has it is somebody else's to find.
        const mayForget = command.do === 'forget' || command.do === 'free';
        if (mayForget && shared.notes.size === 0) shared.forget();
        agrees(shared, process.datapaths);
        if (done && !['end', 'forget'].includes(command.do)) expect(isSettled(shared)).toBe(true);
      }
      process = await openProcess(shared);
      await perform(process.datapaths, { do: 'use', datapath: 'a', fault: undefined });
      expect(isSettled(shared)).toBe(true);
      agrees(shared, process.datapaths);
      const { states } = process.datapaths.statesOf(volume);
      for (const access of ['RO', 'RW'])
        for (const [datapath, state] of states)
          if (state[1] === access)
            await process.datapaths
              .detach({ ...volume, datapath, vm: '1' }, call)
              .catch(() => process.datapaths.destroy(datapath, false, call));
      expect(shared.level()).toBe('Detached');
      expect(shared.notes.size).toBe(0);
    }),
    { numRuns: 500 },
  );
});
