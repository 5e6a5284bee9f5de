import { readFile } from 'node:fs/promises';

/** Memory that a process holds, its children not counted. */
export const residentBytes = async (pid: number): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
};

/** Length of the kernel's clock tick, which Linux has fixed for programs. */
const tickMs = 10;

/** Processor time that a process has used so far. Unlike time on the wall it bears a busy machine. */
export const processorMs = async (pid: number): Promise<number> => {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
};
