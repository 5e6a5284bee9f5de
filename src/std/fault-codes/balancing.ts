/** The server that advises on where VMs should run. */
export const balancing = {
  WLB_AUTHENTICATION_FAILED: [],
  WLB_CONNECTION_REFUSED: [],
  WLB_CONNECTION_RESET: [],
  WLB_DISABLED: [],
  WLB_INTERNAL_ERROR: [],
  WLB_MALFORMED_REQUEST: [],
  WLB_MALFORMED_RESPONSE: ['method', 'reason', 'response'],
  WLB_NOT_INITIALIZED: [],
  WLB_TIMEOUT: ['configured_timeout'],
  WLB_UNKNOWN_HOST: [],
  WLB_URL_INVALID: ['url'],
  WLB_XENSERVER_AUTHENTICATION_FAILED: [],
  WLB_XENSERVER_CONNECTION_REFUSED: [],
  WLB_XENSERVER_MALFORMED_RESPONSE: [],
  WLB_XENSERVER_TIMEOUT: [],
  WLB_XENSERVER_UNKNOWN_HOST: [],
} as const satisfies Record<string, readonly string[]>;
