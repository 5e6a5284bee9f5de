import type { Action } from '../model/class.ts';
import type { Catalog } from '../objects/catalog.ts';
import type { Services } from '../objects/services.ts';
import { Fault } from '../std/fault.ts';
import type { Store } from '../store/store.ts';
import { failQueryTask } from './call-task.ts';
import type { Route } from './route.ts';

interface UnbuiltOptions {
  readonly catalog: Catalog;
  readonly store: Store;
  readonly services: Services;
}

/**
 * Actions that are declared and not built yet. Like calls they say so only to somebody who may ask for them:
 * whoever brings a wrong password or a wrong secret hears that. A task that was made for one says so as well.
 */
export const unbuiltRoutes = (options: UnbuiltOptions, built: readonly Route[]): readonly Route[] => {
  const { catalog } = options;
  const names = new Set(built.map(({ action }) => action));
  return catalog.actions
    .filter(({ name, action }) => !names.has(name) && action?.open !== true)
    .map((message) => routeOf(options, message.name, message.action as Action));
};

const routeOf = (options: UnbuiltOptions, action: string, { method, path, duplex }: Action): Route => {
  const fault = new Fault('NOT_IMPLEMENTED', [action]);
  const refuse = async (): Promise<never> => {
    throw fault;
  };
  if (method === 'CONNECT') return { path, action, method, connect: refuse };
  if (duplex === true) return { path, action, method: 'UPGRADE', upgrade: refuse };
  return {
    ...{ path, action, method },
    handle: async (request, _, context) => {
      await failQueryTask(options, request.query, await context.caller(), fault);
      return refuse();
    },
  };
};
