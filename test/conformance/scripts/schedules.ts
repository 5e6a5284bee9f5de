import { scheduleRunner } from '../../../actors/vmss/due.ts';
import { nodeClock } from '../../../src/drivers/node/clock.ts';
import { epoch, millisecondsOf, type Ref } from '../../../src/model/types.ts';
import type { Clock } from '../../../src/std/clock.ts';
import type { Case } from '../cases.ts';
import { type Adapter, against, mapOf, skip } from '../subject.ts';
import { inLab } from './lab.ts';
import { type Live, live, putVm } from './live.ts';

const policy = '<policy>' as Ref<'VMSS'>;

/** Times of the cases are those of the clock on the wall, wherever it hangs. */
const onTheWall = (ms: number): string => {
  const [date, two] = [new Date(ms), (part: number): string => String(part).padStart(2, '0')];
  const day = [String(date.getFullYear()), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day}T${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
};

/** The clock on the wall, which cases set. */
let wallMs = Date.now();
const wall: Clock = { ...nodeClock, now: () => wallMs };

const quarterMs = 15 * 60_000;
/** Whatever is due at all is due within a week. */
const quarters = 8 * 24 * 4;

/** Looks at its schedules every quarter of an hour, as a pool does, until one is followed. */
const nextRun = inLab(
  async (lab, { given }) => {
    // What no call would take may be in rows that are older.
    const rows = { frequency: given['frequency'], schedule: mapOf(given['schedule']), last_run_time: epoch };
    await lab.rows((tx) => {
      if (tx.get('VMSS', policy) === undefined) tx.create('VMSS', policy, { uuid: 'policy', enabled: true });
      tx.patch('VMSS', policy, rows);
    });
    await lab.ask('VM.set_snapshot_schedule', await lab.newVm(), policy);
    wallMs = new Date(given['host local time']).getTime();
    let run: Promise<unknown> | undefined;
    const { invoker, services } = lab.sandbox.coordinator;
    const call: typeof invoker.call = (...of) => {
      const answer = invoker.call(...of);
      run = answer;
      return answer;
    };
    const look = scheduleRunner({ invoker: { call }, services });
    for (let quarter = 0; quarter < quarters && run === undefined; quarter += 1) {
      wallMs = (Math.floor(wallMs / quarterMs) + 1) * quarterMs;
      await look(true);
    }
    if (run === undefined) return { 'next run': null };
    await run;
    const last = await lab.ask('VMSS.get_last_run_time', policy);
    return { 'next run': onTheWall(millisecondsOf(last.dateTime ?? last)) };
  },
  { clock: wall },
);

const retention = inLab(
  async (lab, { given, then }) => {
    const after: readonly any[] = given['snapshots of the VM after the run, oldest first'];
    const ofRuns = after.filter(({ is_vmss_snapshot }) => is_vmss_snapshot);
    const vm = await lab.newVm();
    const [newest] = ofRuns.slice(-1);
    const names = new Map<string, string>();
    for (const { name, is_vmss_snapshot } of after) {
      // The newest one of all runs is what this run takes.
      if (name === newest?.name) continue;
      wallMs += 1_000;
      const snapshot = await lab.ask('VM.snapshot', vm, name, []);
      names.set(snapshot, name);
      await lab.rows((tx) => tx.patch('VM', snapshot, { is_vmss_snapshot }));
    }
    const made = await lab.ask('VMSS.create', created({ frequency: 'daily', schedule: {} }));
    await lab.ask('VMSS.set_retained_snapshots', made, BigInt(given['retained_snapshots']));
    await lab.ask('VM.set_snapshot_schedule', vm, made);
    const gone: string[] = [];
    const { store } = lab.sandbox;
    const stop = store.watch(() => {
      for (const [ref, name] of names) {
        if (store.committed.get('VM', ref as Ref<'VM'>) === undefined && !gone.includes(name))
          gone.push(name);
      }
    });
    wallMs += 1_000;
    const answer = await lab.ask('VMSS.snapshot_now', made);
    stop();
    if (answer?.error !== undefined) return against(answer, then);
    return against({ 'snapshots destroyed, in order': gone }, then);
  },
  { clock: wall },
);

const created = (when: Case['when']) =>
  mapOf<any>({
    ...{ name_label: 'policy', name_description: '', enabled: true, type: 'snapshot' },
    ...{ retained_snapshots: 7n, frequency: when['frequency'], schedule: mapOf(when['schedule']) },
  });

/** `VMSS.add_to_schedule hour=99`, or a call with a value. */
const argumentsOf = (call: string, when: Case['when']): readonly any[] => {
  const [, ...words] = call.split(' ');
  if (words.length > 0) return words.join(' ').split('=');
  const value = when['value'];
  if (value === undefined) return [];
  return [typeof value === 'object' ? mapOf(value) : typeof value === 'number' ? BigInt(value) : value];
};

const asked = async (here: Live, { given, when }: Case): Promise<any> => {
  if (when['call'] === 'VMSS.create') return here.tried('VMSS.create', created(when));
  const { VMs = [], schedule, ...fields } = given['VMSS'] ?? {};
  await here.rows((tx) => {
    tx.create('VMSS', policy, { uuid: 'policy', frequency: 'daily', ...fields, schedule: mapOf(schedule) });
    for (const vm of VMs) putVm(tx, vm, { snapshot_schedule: policy });
  });
  let answer: any;
  for (const call of when['calls'] ?? [when['call']]) {
    answer = await here.tried(call.split(' ')[0], policy, ...argumentsOf(call, when));
  }
  return answer;
};

const calling: Adapter = live(async (here, one) => {
  const { then } = one;
  const answer = await asked(here, one);
  const error = answer?.error === undefined ? {} : { error: answer.error };
  const row: any = here.host.world.store.committed.get(
    'VMSS',
    typeof answer === 'string' && answer !== '' ? (answer as Ref<'VMSS'>) : policy,
  );
  const found: Readonly<Record<string, () => unknown>> = {
    error: () => error.error,
    'VMSS.schedule': () => Object.fromEntries(row.schedule),
    'VMSS.last_run_time': () => String(row.last_run_time).replace(/^(\d{4})(\d\d)(\d\d)T/, '$1-$2-$3T'),
  };
  const named = Object.keys(then).map((key) => [key, found[key]?.() ?? `nothing is known of ${key}`]);
  return against({ ...error, ...Object.fromEntries(named) }, then);
});

const close = async (): Promise<void> => {
  await nextRun.close?.();
  await retention.close?.();
};

/** What schedules may say, when they are due, and what they keep. */
export const vmssSchedule: Adapter = Object.assign(
  (one: Case) => {
    if (one.given['feature VMSS'] !== undefined) return skip('no licence limits what a pool may do');
    if (one.given['host local time'] !== undefined) return nextRun(one);
    if (one.given['retained_snapshots'] !== undefined) return retention(one);
    return calling(one);
  },
  { close },
);
