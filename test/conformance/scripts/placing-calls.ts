import { classes } from '../../../actors/index.ts';
import { catalogOf } from '../../../src/objects/catalog.ts';
import { type Adapter, skip } from '../subject.ts';

const catalog = catalogOf(classes, []);

/**
 * Which calls a member answers itself is declared with each message. That a member forwards the others, and
 * what one in an emergency answers, needs a pool of several hosts.
 */
export const placingCalls: Adapter = ({ when, then }) => {
  if (then['admitted'] === undefined && then['handled'] === undefined) {
    return skip('a pool of one host has no members that forward calls or lose their coordinator');
  }
  const message = catalog.find(when['call']);
  if (message === undefined) return { undeclared: when['call'] };
  if (then['admitted'] !== undefined) return { admitted: message.declared?.emergency === true };
  const local = message.declared?.onMember === true;
  return { handled: local ? 'on the member itself' : 'forwarded to the coordinator' };
};
