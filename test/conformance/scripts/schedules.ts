import { surplus } from '../../../actors/vmss/retention.ts';
import { nextRunMs } from '../../../actors/vmss/schedule.ts';
import { dateTimeOf, type Ref } from '../../../src/model/types.ts';
import type { Case } from '../cases.ts';
import { type Adapter, against, mapOf, skip } from '../subject.ts';
import { viewOfRows } from '../vm-rows.ts';
import { type Live, live, putVm } from './live.ts';

const policy = '<policy>' as Ref<'VMSS'>;

/** Times of the cases are those of the clock on the wall, wherever it hangs. */
const onTheWall = (ms: number): string => {
  const [date, two] = [new Date(ms), (part: number): string => String(part).padStart(2, '0')];
  const day = [String(date.getFullYear()), two(date.getMonth() + 1), two(date.getDate())].join('-');
  return `${day}T${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
};

const nextRun: Adapter = ({ given }) => {
  const fromMs = new Date(given['host local time']).getTime();
  const ms = nextRunMs(given['frequency'], mapOf(given['schedule']), fromMs);
  return { 'next run': ms === undefined ? null : onTheWall(ms) };
};

const retention: Adapter = ({ given, then }) => {
  const all: readonly any[] = given['snapshots of the VM after the run, oldest first'];
  const snapshots = all.map(({ name }) => name as Ref<'VM'>);
  const rows = all.map(({ name, is_vmss_snapshot }, i) => [
    name,
    { is_vmss_snapshot, snapshot_time: dateTimeOf(i * 60_000) },
  ]);
  const view = viewOfRows({ VM: { ...Object.fromEntries(rows), '<vm>': { snapshots } } });
  const vm = view.require('VM', '<vm>' as Ref<'VM'>);
  return against(
    { 'snapshots destroyed, in order': surplus(view, vm, BigInt(given['retained_snapshots'])) },
    then,
  );
};

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

/** What schedules may say, when they are due, and what they keep. */
export const vmssSchedule: Adapter = (one) => {
  if (one.given['feature VMSS'] !== undefined) return skip('no licence limits what a pool may do');
  if (one.given['host local time'] !== undefined) return nextRun(one);
  if (one.given['retained_snapshots'] !== undefined) return retention(one);
  return calling(one);
};
