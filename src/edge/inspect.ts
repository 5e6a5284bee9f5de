import type { RequestRoute } from './route.ts';

export const inspectPath = '/inspect';

/** Who can tell what hosts do. What it answers is plain data. */
export interface Inspecting {
  inspect(host: string): Promise<unknown>;
  messages(host: string, ref: string): Promise<unknown>;
  all(): Promise<readonly unknown[]>;
}

/**
 * `/inspect`: what this host and the others do now, as JSON. `host=` names one host, `actor=` asks for the
 * last messages of one object.
 */
export const inspectRoute = (inspector: Inspecting): RequestRoute => ({
  method: 'GET',
  path: inspectPath,
  action: 'get_inspection',
  handle: async (request, answer) => {
    const host = request.query.get('host');
    const actor = request.query.get('actor');
    const seen =
      actor !== null
        ? await inspector.messages(host ?? '', actor)
        : host === null
          ? await inspector.all()
          : [await inspector.inspect(host)];
    answer.send(200, { 'Content-Type': 'application/json; charset=utf-8', 'Cache-Control': 'no-store' }, [
      `${JSON.stringify(seen)}\n`,
    ]);
  },
});
