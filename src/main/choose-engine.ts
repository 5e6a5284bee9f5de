import { type EngineStore, openCredentials, type TlsFiles } from '../engine/settings.ts';
import type { StateFile } from '../pool/state.ts';
import { machine } from './machine.ts';
import type { UpOptions } from './options.ts';
import { StartFailure } from './start-failure.ts';

// Which engine keeps the pool's log: chosen at the first start of its first host, and remembered.

const fileBytesMax = 1 << 20;

/** Takes up what --engine says. Throws StartFailure. */
export const chooseEngine = async (
  options: UpOptions,
  store: EngineStore,
  state: Pick<StateFile, 'current'>,
): Promise<void> => {
  const { engine } = options;
  const uses = store.current.use ?? 'primary';
  if (engine === undefined || engine === uses) return;
  // A member is told by its coordinator which engine the pool has, and so is who joins one.
  if (state.current?.role === 'member' || options.join !== undefined) return;
  const isNew = state.current === undefined;
  if (engine === 'primary') throw new StartFailure(moves('primary'));
  const endpoints = endpointsOf(engine);
  const { cluster } = store.current;
  if (cluster !== undefined && !cluster.given) {
    throw new StartFailure(
      'The pool has a cluster of its own: start without --engine; xenact engine looks after it.',
    );
  }
  await store.saveCredentials(await credentialsOf(options));
  const access = { pool: '', ...cluster, endpoints, whole: true, given: true } as const;
  if (!isNew) return store.change((now) => ({ ...now, cluster: access }));
  await store.change((now) => ({ ...now, use: 'etcd', cluster: { ...access, begins: true } }));
};

/** Whoever brings the log back from a cluster leads with it, whatever it noted of a lead there meanwhile. */
export const takeUpMove = async (
  { current: { move } }: Pick<EngineStore, 'current'>,
  state: Pick<StateFile, 'current' | 'save'>,
): Promise<void> => {
  const { current } = state;
  const leads = move?.to === 'primary' && move.step === 'begun' && move.by === current?.host;
  if (leads && current.role !== 'coordinator') await state.save({ ...current, role: 'coordinator' });
};

const moves = (to: string): string =>
  `The engine of a pool's log is chosen at its first start. Start without --engine, then move it with ` +
  `xenact engine use ${to}.`;

const endpointsOf = (engine: string): readonly string[] => {
  const [, list = ''] = /^etcd:\/\/([^/]+)\/?$/.exec(engine) ?? [];
  const endpoints = list.split(',').map((one) => one.trim());
  const rule = /^([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}$/;
  const wrong = endpoints.find((one) => !rule.test(one));
  if (wrong === undefined) return endpoints;
  throw new StartFailure(
    `--engine is primary, or etcd:// with the address and port of each member: ` +
      `etcd://A:2379,B:2379,C:2379, not ${engine}`,
  );
};

const credentialsOf = async (options: UpOptions): Promise<TlsFiles> => {
  const read = async (flag: 'engine-ca' | 'engine-cert' | 'engine-key'): Promise<string> => {
    const file = options[flag];
    if (file === undefined) return '';
    return machine.disk.readText(file, fileBytesMax).catch((error: unknown) => {
      throw new StartFailure(`The file ${file} of --${flag} cannot be read: ${(error as Error).message}`);
    });
  };
  const [authority, certificate, key] = await Promise.all([
    read('engine-ca'),
    read('engine-cert'),
    read('engine-key'),
  ]);
  if (authority === '' && (certificate !== '' || key !== '')) {
    throw new StartFailure(
      '--engine-cert and --engine-key go with --engine-ca, which says who signed the members’ certificates.',
    );
  }
  if ((certificate === '') !== (key === ''))
    throw new StartFailure('--engine-cert and --engine-key go together.');
  return authority === '' ? openCredentials : { authority, certificate, key };
};
