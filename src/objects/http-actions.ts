import type { Role } from '../model/class.ts';
import { own } from '../std/own.ts';

/** What clients may ask for by HTTP beside calls, and who may. Its permission is `http/` and its name. */
export interface HttpAction {
  readonly method: 'GET' | 'PUT' | 'POST' | 'CONNECT' | 'OPTIONS';
  readonly path: string;
  /** Least role that may. */
  readonly role: Role;
  /** Clients with a certificate may too. */
  readonly certificate?: true;
  /** Anybody is let in; what is done there checks for itself. */
  readonly open?: true;
  /** Parts of it that need more, such as the console of the host among those of guests. */
  readonly parts?: Readonly<Record<string, Role>>;
}

const action = (
  method: HttpAction['method'],
  path: string,
  role: Role,
  more: Pick<HttpAction, 'certificate' | 'open' | 'parts'> = {},
): HttpAction => ({ method, path, role, ...more });

const certificate = true;
const open = true;

/** Every action of the XenAPI, those that are not served yet included: roles are granted by this list. */
export const httpActions = {
  get_services: action('GET', '/services', 'read-only'),
  post_services: action('POST', '/services', 'pool-admin'),
  put_services: action('PUT', '/services', 'pool-admin'),
  post_remote_db_access: action('POST', '/remote_db_access', 'pool-admin'),
  post_remote_db_access_v2: action('POST', '/remote_db_access_v2', 'pool-admin'),
  get_services_xenops: action('GET', '/services/xenops', 'vm-power-admin'),
  post_services_xenops: action('POST', '/services/xenops', 'vm-power-admin', { certificate }),
  put_services_xenops: action('PUT', '/services/xenops', 'vm-power-admin', { certificate }),
  get_services_sm: action('GET', '/services/SM', 'vm-power-admin'),
  post_services_sm: action('POST', '/services/SM', 'vm-power-admin'),
  put_services_sm: action('PUT', '/services/SM', 'vm-power-admin'),
  put_import: action('PUT', '/import', 'vm-admin'),
  put_import_metadata: action('PUT', '/import_metadata', 'vm-admin'),
  put_import_raw_vdi: action('PUT', '/import_raw_vdi', 'vm-admin'),
  get_export: action('GET', '/export', 'vm-admin'),
  get_export_metadata: action('GET', '/export_metadata', 'vm-admin'),
  get_export_raw_vdi: action('GET', '/export_raw_vdi', 'vm-admin'),
  connect_console: action('CONNECT', '/console', 'vm-operator', { parts: { host_console: 'pool-admin' } }),
  connect_console_ws: action('GET', '/console', 'vm-operator', { parts: { host_console_ws: 'pool-admin' } }),
  get_root: action('GET', '/', 'read-only', { open }),
  post_cli: action('POST', '/cli', 'read-only', { open }),
  get_host_backup: action('GET', '/host_backup', 'pool-admin'),
  put_host_restore: action('PUT', '/host_restore', 'pool-admin'),
  get_host_logs_download: action('GET', '/host_logs_download', 'pool-operator'),
  put_pool_patch_upload: action('PUT', '/pool_patch_upload', 'pool-operator'),
  get_vncsnapshot: action('GET', '/vncsnapshot', 'vm-operator', { parts: { host_console: 'pool-admin' } }),
  get_pool_xml_db_sync: action('GET', '/pool/xmldbdump', 'pool-admin'),
  put_pool_xml_db_sync: action('PUT', '/pool/xmldbdump', 'pool-admin'),
  get_config_sync: action('GET', '/sync_config_files', 'pool-admin'),
  get_system_status: action('GET', '/system-status', 'pool-operator'),
  vm_rrd: action('GET', '/vm_rrd', 'read-only'),
  get_vm_rrds: action('GET', '/vm_rrds', 'read-only'),
  host_rrd: action('GET', '/host_rrd', 'read-only'),
  get_host_rrds: action('GET', '/host_rrds', 'read-only'),
  sr_rrd: action('GET', '/sr_rrd', 'read-only'),
  rrd_updates: action('GET', '/rrd_updates', 'read-only'),
  rrd: action('PUT', '/rrd', 'pool-admin'),
  get_blob: action('GET', '/blob', 'read-only', { open }),
  put_blob: action('PUT', '/blob', 'vm-power-admin'),
  put_messages: action('PUT', '/messages', 'vm-power-admin'),
  connect_remotecmd: action('CONNECT', '/remotecmd', 'pool-admin'),
  get_wlb_report: action('GET', '/wlb_report', 'read-only'),
  get_wlb_diagnostics: action('GET', '/wlb_diagnostics', 'read-only'),
  get_audit_log: action('GET', '/audit_log', 'read-only'),
  post_root: action('POST', '/', 'read-only', { open }),
  post_RPC2: action('POST', '/RPC2', 'read-only', { open }),
  post_json: action('POST', '/json', 'read-only', { open }),
  post_root_options: action('OPTIONS', '/', 'read-only', { open }),
  post_json_options: action('OPTIONS', '/json', 'read-only', { open }),
  post_jsonrpc: action('POST', '/jsonrpc', 'read-only', { open }),
  post_jsonrpc_options: action('OPTIONS', '/jsonrpc', 'read-only', { open }),
  get_pool_update_download: action('GET', '/update/', 'read-only', { open }),
  get_repository: action('GET', '/repository', '_local_root_'),
  get_enabled_repository: action('GET', '/repository/enabled', 'pool-operator', { certificate }),
  get_host_updates: action('GET', '/host_updates', 'pool-operator', { certificate }),
  get_updates: action('GET', '/updates', 'pool-operator', { certificate }),
  put_bundle: action('PUT', '/bundle', 'pool-operator'),
} as const;

export type HttpActionName = keyof typeof httpActions;

/** What is served beside the XenAPI. The rights to it are not listed among those of the XenAPI's roles. */
export const ownActions = {
  get_inspection: action('GET', '/inspect', 'pool-admin'),
  post_join_token: action('POST', '/pool/join-token', 'pool-admin'),
  get_sim: action('GET', '/sim', 'pool-admin'),
  post_sim: action('POST', '/sim', 'pool-admin'),
} as const;

export type ServedActionName = HttpActionName | keyof typeof ownActions;

export const servedActions = { ...httpActions, ...ownActions } as const;

export interface HttpPermission {
  readonly name: string;
  readonly role: Role;
  readonly certificate: boolean;
}

/** The right to an action, or to a part of it that needs more. */
export const httpPermission = (name: ServedActionName, part?: string): HttpPermission => {
  const { role, certificate: byCertificate, parts }: HttpAction = servedActions[name];
  if (part === undefined) {
    return { name: `http/${name}`, role, certificate: byCertificate === true || role === 'read-only' };
  }
  return { name: `http/${name}/${part}`, role: own(parts ?? {}, part) ?? role, certificate: false };
};

/** Every right to do something by HTTP. */
export const httpPermissions = (): readonly HttpPermission[] =>
  (Object.keys(httpActions) as HttpActionName[]).flatMap((name) => {
    const { parts }: HttpAction = httpActions[name];
    return [undefined, ...Object.keys(parts ?? {})].map((part) => httpPermission(name, part));
  });
