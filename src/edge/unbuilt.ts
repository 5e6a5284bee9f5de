import type { Action } from '../model/class.ts';
import type { Catalog } from '../objects/catalog.ts';
import { Fault } from '../std/fault.ts';
import type { Route } from './route.ts';

/**
 * Actions that are declared and not built yet. Like calls they say so only to somebody who may ask for them:
 * whoever brings a wrong password or a wrong secret hears that.
 */
export const unbuiltRoutes = (catalog: Catalog, built: readonly Route[]): readonly Route[] => {
  const names = new Set(built.map(({ action }) => action));
  return catalog.actions
    .filter(({ name, action }) => !names.has(name) && action?.open !== true)
    .map((message) => routeOf(message.name, message.action as Action));
};

const routeOf = (action: string, { method, path, duplex }: Action): Route => {
  const refuse = async (): Promise<never> => {
    throw new Fault('NOT_IMPLEMENTED', [action]);
  };
  if (method === 'CONNECT') return { path, action, method, connect: refuse };
  if (duplex === true) return { path, action, method: 'UPGRADE', upgrade: refuse };
  return { path, action, method, handle: refuse };
};
