import type { AttachedSrs } from './attached-srs.ts';
import { type DatapathBackend, type DatapathUse, HOST_DOMAIN } from './datapath-holdings.ts';
import { CLONE_ON_BOOT } from './script-epochs.ts';
import type { ScriptPlugins } from './script-plugins.ts';
import { readBackend, readNothing, readVolume } from './script-values.ts';

/** Datapaths by SMAPIv3 scripts: the volume tells its URIs, a URI's scheme tells the plugin. */
export const scriptDatapath = (srs: AttachedSrs, plugins: ScriptPlugins): DatapathBackend => ({
  locate: async (use, call) => {
    const stat = (key: string) => srs.run(use.sr, 'Volume.stat', { key }, call, readVolume);
    const volume = await stat(use.key);
    const stand = volume.keys.get(CLONE_ON_BOOT);
    const { uris } = stand === undefined ? volume : await stat(stand);
    const { uri } = await plugins.datapathFor(uris);
    return { uri, domain: domainOf(use) };
  },
  attach: async (_, { uri, domain }, __, call) => {
    const { scripts } = await plugins.datapathFor([uri]);
    return scripts.run('Datapath.attach', { uri, domain }, call, readBackend);
  },
  drive: async (_, { uri, domain }, action, access, call) => {
    const { scripts } = await plugins.datapathFor([uri]);
    const readOnly = action === 'activate' && access === 'RO' && scripts.has('Datapath.activate_readonly');
    const method = `Datapath.${action}${readOnly ? '_readonly' : ''}`;
    await scripts.run(method, { uri, domain }, call, readNothing);
  },
});

/** What this host itself uses has no domain id of its own, so the datapath's name tells uses apart. */
const domainOf = ({ vm, datapath }: DatapathUse): string =>
  vm === HOST_DOMAIN ? `u0-${datapath.replace(/[/-]/g, '_')}` : vm;
