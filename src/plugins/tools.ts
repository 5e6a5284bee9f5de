import { type Processes, ProcessFailure } from '../drivers/processes.ts';
import { failure, Refusal } from './script.ts';

/** Programs of the system that plugins use. Answers what the program printed, or refuses in its words. */
export type Tool = (file: string, args: readonly string[], cwd?: string) => Promise<string>;

const TOOL_MS_MAX = 9 * 60_000;
const TOOL_OUTPUT_BYTES_MAX = 8 * 1024 * 1024;

export const toolsBy =
  (processes: Processes): Tool =>
  async (file, args, cwd) => {
    const options = { timeoutMs: TOOL_MS_MAX, outputMax: TOOL_OUTPUT_BYTES_MAX, env: { LC_ALL: 'C' } };
    const finished = await processes
      .run(file, args, { ...options, ...(cwd !== undefined && { cwd }) })
      .catch((error: unknown) => {
        if (error instanceof ProcessFailure) throw failure(`${file} did not do its work`, error.message);
        throw error;
      });
    if (finished.code === 0) return finished.stdout;
    const why = finished.stderr.trim();
    // Named as the system names it, so that whoever reads the fault knows that space is the trouble.
    if (why.includes('No space left on device')) throw new Refusal('SR_BACKEND_FAILURE', ['ENOSPC', why]);
    throw failure(`${file} failed`, why);
  };
