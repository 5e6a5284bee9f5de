import type { RecordNamed } from '../../src/model/class.ts';
import { Fault } from '../../src/std/fault.ts';
import { own } from '../../src/std/own.ts';

// When a schedule is due, and what it may say. Times are those of the clock on the wall of the coordinator.

type Frequency = RecordNamed<'VMSS'>['frequency'];
type Schedule = RecordNamed<'VMSS'>['schedule'];

const days = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'] as const;
const minutes: readonly string[] = ['0', '15', '30', '45'];
const hours: readonly string[] = Array.from({ length: 24 }, (_, hour) => String(hour));

const keysOf: Readonly<Record<Frequency, readonly string[]>> = {
  hourly: ['min'],
  daily: ['hour', 'min'],
  weekly: ['hour', 'min', 'days'],
};
const defaults: Readonly<Record<string, string>> = { min: '0', hour: '0', days: 'Monday' };

const refuse = (key: string, value: string): never => {
  throw new Fault('INVALID_VALUE', [`schedule:${key}`, value]);
};

/** In any case, as long as each is there once. */
const daysIn = (value: string): string => {
  const named = value.split(',').map((piece) => {
    const day = days.find((one) => one.toLowerCase() === piece.toLowerCase());
    return day ?? refuse('days', piece);
  });
  return new Set(named).size === named.length ? named.join(',') : refuse('days', value);
};

const checked = (key: string, value: string): string => {
  if (key === 'days') return daysIn(value);
  const allowed = key === 'min' ? minutes : key === 'hour' ? hours : [];
  return allowed.includes(value) ? value : refuse(key, value);
};

const checkedAll = (given: Schedule): Schedule =>
  new Map([...given].map(([key, value]) => [key, checked(key, value)] as const));

/** What a rhythm needs of a schedule; what is not there is filled in, what it has no use for is dropped. */
export const fitted = (frequency: Frequency, schedule: Schedule): Schedule =>
  new Map(keysOf[frequency].map((key) => [key, schedule.get(key) ?? own(defaults, key) ?? ''] as const));

/** The schedule of a new policy: only what its rhythm uses. */
export const newSchedule = (frequency: Frequency, given: Schedule): Schedule => {
  const good = checkedAll(given);
  const [strange] = [...good].filter(([key]) => !keysOf[frequency].includes(key));
  if (strange !== undefined) return refuse(...strange);
  return fitted(frequency, good);
};

/** Keys that are not given stay as they are. */
export const mergedSchedule = (stored: Schedule, given: Schedule): Schedule =>
  new Map([...stored, ...checkedAll(given)]);

/** What the rhythm needs stays until it is replaced: without it nothing would ever be due. */
export const withoutKey = (frequency: Frequency, stored: Schedule, key: string): Schedule =>
  keysOf[frequency].includes(key) ? stored : new Map([...stored].filter(([one]) => one !== key));

const numberAt = (schedule: Schedule, key: string): number | undefined => {
  const value = schedule.get(key);
  return value === undefined || !/^\d{1,2}$/.test(value) ? undefined : Number(value);
};

const dayLater = (from: Date, count: number, hour: number, minute: number): Date =>
  new Date(from.getFullYear(), from.getMonth(), from.getDate() + count, hour, minute);

const nextWeekly = (from: Date, schedule: Schedule, hour: number, minute: number): Date | undefined => {
  const wanted = (schedule.get('days') ?? '').split(',');
  const ahead = Array.from({ length: 8 }, (_, count) => dayLater(from, count, hour, minute));
  return ahead.find((one) => one > from && wanted.includes(days[one.getDay()] ?? ''));
};

/**
 * The next time at or after `fromMs`, a weekly one after it. Undefined where the schedule lacks what its
 * rhythm needs. Both in milliseconds since 1970.
 */
export const nextRunMs = (frequency: Frequency, schedule: Schedule, fromMs: number): number | undefined => {
  const from = new Date(fromMs);
  const minute = numberAt(schedule, 'min');
  if (minute === undefined) return undefined;
  if (frequency === 'hourly') {
    const [year, month, day, hour] = [from.getFullYear(), from.getMonth(), from.getDate(), from.getHours()];
    const now = new Date(year, month, day, hour, minute);
    return (now >= from ? now : new Date(year, month, day, hour + 1, minute)).getTime();
  }
  const hour = numberAt(schedule, 'hour');
  if (hour === undefined) return undefined;
  if (frequency === 'weekly') return nextWeekly(from, schedule, hour, minute)?.getTime();
  const today = dayLater(from, 0, hour, minute);
  return (today >= from ? today : dayLater(from, 1, hour, minute)).getTime();
};
