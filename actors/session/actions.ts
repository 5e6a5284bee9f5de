import { action } from '../../src/model/class.ts';

/** What clients ask for by HTTP. */
export const actions = {
  get_root: action('GET', '/', 'read-only', "Answers what is no other action's.", { open: true }),
  post_root: action('POST', '/', 'read-only', 'Takes calls over XML-RPC.', { open: true }),
  post_RPC2: action('POST', '/RPC2', 'read-only', 'Takes calls over XML-RPC.', { open: true }),
  post_json: action('POST', '/json', 'read-only', 'Takes calls of browsers over JSON.', { open: true }),
  post_jsonrpc: action('POST', '/jsonrpc', 'read-only', 'Takes calls over JSON-RPC.', { open: true }),
  post_root_options: action('OPTIONS', '/', 'read-only', 'Tells browsers whether their pages may call.', {
    open: true,
  }),
  post_json_options: action('OPTIONS', '/json', 'read-only', 'Tells browsers whether their pages may call.', {
    open: true,
  }),
  post_jsonrpc_options: action(
    'OPTIONS',
    '/jsonrpc',
    'read-only',
    'Tells browsers whether their pages may call.',
    { open: true },
  ),
  post_cli: action('POST', '/cli', 'read-only', 'Takes commands of `xe`.', { open: true }),
} as const;
