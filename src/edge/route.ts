import type { Duplex } from 'node:stream';
import type { HttpAnswer, HttpHead, HttpRequest, Refuse } from '../drivers/http/http.ts';
import type { Caller } from '../objects/implement.ts';

/** What every HTTP handler of the edge is given beside its request. */
export interface HttpContext {
  /**
   * Who asks: by the query or cookie `session_id`, else by HTTP Basic. Throws `Unauthorised`, which is
   * answered 401, and SESSION_INVALID, which is answered 401 too. What was opened for the request ends with
   * it. Throws RBAC_PERMISSION_DENIED where the role does not allow the route's action, or the part of it.
   */
  caller(part?: string): Promise<Caller>;
  /**
   * Aborted, with the fault, once the session has ended or no longer has the right to what the handler does.
   * The connection is cut by then; what else the handler has begun is to end.
   */
  withdrawn(): AbortSignal;
}

interface AnyRoute {
  readonly path: string;
  /**
   * Name of the action that is asked for here, which says who may: checked before the handler is asked.
   * `any session`: whoever has one. `open`: anybody, as what is asked for here checks its callers itself.
   */
  readonly action: string;
}

/** A request by method and path; `path` also takes the longer paths below it where nobody names them. */
export interface RequestRoute extends AnyRoute {
  readonly method: string;
  /** May throw a `Fault`: it is answered as plain text with the status that fits. */
  handle(request: HttpRequest, answer: HttpAnswer, context: HttpContext): Promise<void>;
}

/**
 * The socket is the handler's once it has been let in. By `POST` it still brings the body, as nobody has read
 * more than the head.
 */
export interface ConnectRoute extends AnyRoute {
  readonly method: 'CONNECT' | 'POST';
  connect(request: HttpHead, socket: Duplex, context: HttpContext): Promise<void>;
}

/** A WebSocket. */
export interface UpgradeRoute extends AnyRoute {
  readonly method: 'UPGRADE';
  upgrade(
    request: HttpHead,
    accept: (protocol: string | undefined) => Promise<Duplex>,
    refuse: Refuse,
    context: HttpContext,
  ): Promise<void>;
}

export type Route = RequestRoute | ConnectRoute | UpgradeRoute;
