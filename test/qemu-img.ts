import { execFileSync } from 'node:child_process';

/** Tests of images that only its tools make are left out without them. */
export const hasQemu = (() => {
  try {
    execFileSync('qemu-img', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();
