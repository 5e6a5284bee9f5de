import { behaviours } from '../../actors/behaviours.ts';
import { classes } from '../../actors/index.ts';
import { catalogOf } from '../../src/objects/catalog.ts';
import { skip } from './subject.ts';

const catalog = catalogOf(classes, behaviours);

/** Skips the cases of calls that nothing carries out yet. */
export const assertBuilt = (method: string): void => {
  const message = catalog.find(method) ?? skip(`${method} is not a message`);
  if (catalog.handler(message) === undefined) skip(`${method} is not built`);
};
