import { guests } from './guests.ts';
import { hosts } from './hosts.ts';
import { networks } from './networks.ts';
import type { ShownClass } from './shown-class.ts';
import { storage } from './storage.ts';

/**
 * What `xe` shows of each class of the XenAPI, in the order in which it shows it. The names, the order and
 * the marks are those that scripts rely on; what a field holds and whether it may be set is in the class's
 * declaration.
 */
export const shownClasses: readonly ShownClass[] = [...guests, ...storage, ...networks, ...hosts];
