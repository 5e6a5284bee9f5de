import type { ActorView, Handled, Inspection, LinkView, TaskView } from '../pool/inspection.ts';

// What people see of `xenact inspect`.

const cell = (text: string, width: number): string =>
  text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);

const figure = (value: number, digits = 0): string => value.toFixed(digits).padStart(9);

const megabytes = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;

const actorsShownMax = 30;

/** A pool as its hosts tell of it. */
export const inspectionText = (hosts: readonly Inspection[]): string => {
  const ahead = Math.max(0, ...hosts.map(({ store }) => store.generation));
  const tasks = new Map(hosts.flatMap((one) => one.tasks.map((task) => [task.ref, task] as const)));
  return [
    ...hosts.flatMap((host) => hostLines(host, ahead)),
    ...(tasks.size === 0 ? [] : ['', 'TASKS', ...taskLines([...tasks.values()])]),
    '',
  ].join('\n');
};

const hostLines = (host: Inspection, ahead: number): readonly string[] => {
  const { role, leader, epoch, store, actors, links } = host;
  const place = role === 'coordinator' ? 'coordinator' : `${role} of ${leader}`;
  const busy = actors.toSorted((a, b) => weight(b) - weight(a));
  return [
    '',
    `${host.host.name}  ${host.host.address}  ${place}  epoch ${epoch}  generation ${store.generation}` +
      `  lag ${ahead - store.generation}  ${store.rows} rows`,
    ...links.map(linkLine),
    ...(busy.length === 0
      ? ['  no object is awake']
      : [
          `  ${cell('OBJECT', 52)}${'queued'.padStart(9)}${'msgs/s'.padStart(9)}${'ms'.padStart(9)}  RUNS ` +
            `| WAITS`,
        ]),
    ...busy.slice(0, actorsShownMax).map(actorLine),
    ...(busy.length > actorsShownMax ? [`  and ${busy.length - actorsShownMax} more`] : []),
  ];
};

const weight = ({ running, waiting, queued, messages }: ActorView): number =>
  (running.length + waiting.length + queued) * 1_000 + messages;

const actorLine = ({ key, name, running, waiting, queued, messagesPerSecond, tookMs }: ActorView): string =>
  `  ${cell(name === '' ? key : `${key} ${name}`, 52)}` +
  `${figure(queued)}${figure(messagesPerSecond, 1)}${figure(tookMs, 1)}` +
  `  ${running.join(', ')} | ${waiting.join(', ')}`;

const linkLine = ({
  name,
  state,
  why,
  roundTripMs,
  callsIn,
  callsOut,
  bytesIn,
  bytesOut,
}: LinkView): string =>
  state === 'up'
    ? `  link ${name}: up, ${roundTripMs === undefined ? '?' : roundTripMs.toFixed(1)} ms, calls in ` +
      `${callsIn} out ${callsOut}, ${megabytes(bytesIn)} in, ${megabytes(bytesOut)} out`
    : `  link ${name}: down. ${why}`;

/** Tasks under the tasks that they are a part of. */
const taskLines = (tasks: readonly TaskView[], parent?: string, depth = 0): readonly string[] =>
  tasks
    .filter((task) =>
      parent === undefined ? !tasks.some(({ ref }) => ref === task.parent) : task.parent === parent,
    )
    .flatMap((task) => [
      `  ${'  '.repeat(depth)}${cell(task.label, 40)} ${cell(task.host, 20)} ${task.status} ` +
        `${(task.progress * 100).toFixed(0)} %`,
      ...taskLines(tasks, task.ref, depth + 1),
    ]);

export const messagesText = (messages: readonly Handled[]): string =>
  messages.length === 0
    ? 'No message since somebody looks. Ask again while the object works.\n'
    : messages.map(messageLine).join('');

const messageLine = ({ atMs, what, tookMs }: Handled): string =>
  `${new Date(atMs).toISOString()}  ${what.padEnd(24)} ${tookMs.toFixed(2)} ms\n`;
