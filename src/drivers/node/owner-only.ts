/**
 * Whatever this process and those that it starts make from now on is for its own user alone, from the first
 * moment: also files of libraries and of QEMU, which take no mode.
 */
export const keepFilesPrivate = (): void => void process.umask(0o077);
