import type { HttpHead } from '../drivers/http/http.ts';
import { nullRef } from '../model/types.ts';
import type { HttpAction } from '../objects/http-actions.ts';
import type { Caller } from '../objects/implement.ts';
import type { Fault } from '../std/fault.ts';
import { authenticate, type HttpAuthentication, type HttpIdentity, sessionOwner } from './authenticate.ts';
import type { Mandates } from './mandates.ts';
import { assertAction } from './permissions.ts';
import type { HttpContext } from './route.ts';

/** Who asks for what by HTTP, and may go on with it. */
export interface OpenContext extends HttpContext {
  /** Who asks, once that is known. */
  who(): Promise<Caller | undefined>;
  /** To be called once, at the end; `known` is told who it was, if that is known. Never rejects. */
  end(known: (caller: Caller) => void): Promise<void>;
}

/** `cut` is called when the session has ended, or its rights have, while the handler still runs. */
export const contextOf = (
  head: HttpHead,
  action: HttpAction | 'any session',
  by: HttpAuthentication & { readonly mandates: Mandates },
  cut: (fault: Fault) => void,
): OpenContext => {
  const controller = new AbortController();
  const parts = new Set<string | undefined>();
  let release = (): void => {};
  const assertPart = (caller: Caller, part: string | undefined): void => {
    if (action !== 'any session') assertAction(caller, action, part);
  };
  const identify = async (): Promise<HttpIdentity> => {
    const identity = await authenticate(head, by, action !== 'any session' && action.open === true);
    const { session } = identity.caller;
    // Nobody has no right that could be withdrawn, and whoever may use the host's files keeps his.
    if (session === nullRef) return identity;
    const check = (): void => {
      const now = sessionOwner(by.services, session);
      for (const part of parts) assertPart(now, part);
    };
    const withdrawn = (fault: Fault): void => {
      controller.abort(fault);
      cut(fault);
    };
    release = by.mandates.give(session, { check, withdrawn });
    return identity;
  };
  let identity: Promise<HttpIdentity> | undefined;
  return {
    caller: async (part) => {
      identity ??= identify();
      const { caller } = await identity;
      controller.signal.throwIfAborted();
      assertPart(caller, part);
      parts.add(part);
      return caller;
    },
    withdrawn: () => controller.signal,
    who: async () =>
      identity?.then(
        ({ caller }) => caller,
        () => undefined,
      ),
    end: async (known) => {
      release();
      await identity?.then(
        ({ caller, end }) => {
          known(caller);
          return end();
        },
        () => {},
      );
    },
  };
};

/** For routes that ask for nobody. */
export const openContext: HttpContext = {
  caller: () => Promise.reject(new Error('An open route knows nobody: give it an action')),
  withdrawn: () => new AbortController().signal,
};
