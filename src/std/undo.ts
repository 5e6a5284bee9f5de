/** Steps to take back, newest first. A step that fails to be undone is reported and the rest go on. */
export interface Undo {
  add(step: () => unknown): void;
  /** Takes everything back. Never throws. */
  run(report: (error: unknown) => void): Promise<void>;
}

export const undoStack = (): Undo => {
  const steps: (() => unknown)[] = [];
  return {
    add: (step) => {
      steps.push(step);
    },
    run: async (report) => {
      for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
        try {
          await step();
        } catch (error) {
          report(error);
        }
      }
    },
  };
};
