// A reporter for vitest: at the end of a run, each reason why tests were skipped, in one line with how many there were.
// A reason is what a test said when it skipped itself, else what stands in brackets in its name.
export default class Skipped {
  onTestRunEnd(modules) {
    const counts = new Map();
    for (const module of modules) {
      for (const test of module.children.allTests('skipped')) {
        const reason = test.result().note ?? /\(([^)]+)\)/.exec(test.fullName)?.[1] ?? 'no reason is given';
        const line = `${reason}: ${module.relativeModuleId}`;
        counts.set(line, (counts.get(line) ?? 0) + 1);
      }
    }
    for (const [line, count] of counts) console.log(`skipped ${count}: ${line}`);
  }
}
