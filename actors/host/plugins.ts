import { PluginFailed, PluginMissing, PluginRefusal } from '../../src/drivers/host-plugins.ts';
import type { Working } from '../../src/objects/implement.ts';
import { Fault } from '../../src/std/fault.ts';

interface Asked {
  readonly plugin: string;
  readonly fn: string;
  readonly args: ReadonlyMap<string, string>;
}

/** Runs a plugin with a session of its own, which has the caller's rights and ends with the call. */
export const callPlugin = async (
  { services, caller, signal }: Working<'host'>,
  { plugin, fn, args }: Asked,
): Promise<string> => {
  const { hostPlugins, localSessions } = services;
  if (hostPlugins === undefined) throw new Fault('XENAPI_MISSING_PLUGIN', [plugin]);
  const { user, role, originator, driverOf } = caller;
  const session = localSessions.lend({ user, role, originator, ...(driverOf !== undefined && { driverOf }) });
  try {
    return await hostPlugins.run(plugin, { fn, session, args, signal });
  } catch (error) {
    if (error instanceof PluginMissing) throw new Fault('XENAPI_MISSING_PLUGIN', [plugin]);
    if (error instanceof PluginRefusal) throw Fault.foreign(error.code, error.params);
    if (error instanceof PluginFailed) {
      throw new Fault('XENAPI_PLUGIN_FAILURE', [error.message, error.stdout, error.stderr]);
    }
    throw error;
  } finally {
    localSessions.end(session);
  }
};
