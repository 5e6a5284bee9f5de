import { vbdOperation, vifOperation } from './devices.ts';
import { haArithmetic, haBinpack } from './ha-packing.ts';
import { haPlanning } from './ha-planning.ts';
import { httpMisc, requestHeads } from './http.ts';
import { qcow2Layouts, vhdLayouts } from './images.ts';
import { miscChecks } from './misc-checks.ts';
import { networkValues } from './network-values.ts';
import {
  commandLines,
  cpuFeatures,
  dates,
  featureRestrictions,
  ids,
  loggedArguments,
  mapKeys,
  versions,
  wlbUrls,
} from './parsing.ts';
import { placementTables } from './placement.ts';
import { clusterOperation, hostOperation, poolOperation } from './pool.ts';
import { httpRoles, keyPermissions, messageRoles } from './rights.ts';
import { applianceOrder } from './scripts/appliances.ts';
import { databaseSemantics } from './scripts/database.ts';
import { deviceNumbers, macs, vifDevices } from './scripts/devices.ts';
import { handlers } from './scripts/doors.ts';
import { eventSemantics } from './scripts/events.ts';
import { sessionsAndAuth } from './scripts/logins.ts';
import { networkPreconditions } from './scripts/networks.ts';
import { antiAffinity, placementSelection } from './scripts/placing.ts';
import { placingCalls } from './scripts/placing-calls.ts';
import { bondMacs, vmAndPool } from './scripts/pool-and-vm.ts';
import { vmssSchedule } from './scripts/schedules.ts';
import { guestNetworks, memoryConstraints, miscSetters, platformdata } from './scripts/settings.ts';
import { tasks } from './scripts/tasks.ts';
import { smFeatures, srAllowed, srOperation, vdiAllowed, vdiOperation } from './storage.ts';
import type { Adapter } from './subject.ts';
import { vmAllowed, vmBeside, vmOperation } from './vm.ts';
import { eventClasses, expressions, tokensAndSubscriptions } from './watching.ts';
import { ovaXml, xvaLayout } from './xva.ts';
import { xvaRules } from './xva-rules.ts';

/** How the cases of each subject are put to the code, by the name of the subject's file. */
export const adapters: ReadonlyMap<string, Adapter> = new Map(
  Object.entries<Adapter>({
    appliance_order: applianceOrder,
    bond_mac: bondMacs,
    cluster_operation_table: clusterOperation,
    cpu_features: cpuFeatures,
    database_semantics: databaseSemantics,
    datetime_parsing: dates,
    device_numbers: deviceNumbers,
    event_classes: eventClasses,
    event_semantics: eventSemantics,
    event_tokens_and_subscriptions: tokensAndSubscriptions,
    feature_restrictions: featureRestrictions,
    forwarding_and_emergency: placingCalls,
    get_all_records_where_expressions: expressions,
    guest_agent_networks: guestNetworks,
    ha_binpack: haBinpack,
    ha_planner_arithmetic: haArithmetic,
    ha_planning: haPlanning,
    host_operation_table: hostOperation,
    http_handlers: handlers,
    http_misc: httpMisc,
    http_request_parsing: requestHeads,
    log_argument_filter: loggedArguments,
    map_key_checks: mapKeys,
    memory_constraints: memoryConstraints,
    migration_no_migrate: vmOperation,
    misc_checks: miscChecks,
    network_preconditions: networkPreconditions,
    network_value_checks: networkValues,
    platformdata,
    pool_operation_table: poolOperation,
    qcow2_layout: qcow2Layouts,
    rbac_http: httpRoles,
    rbac_key_permission: keyPermissions,
    rbac_messages: messageRoles,
    sessions_and_auth: sessionsAndAuth,
    sm_feature_parsing: smFeatures,
    sr_allowed_operations: srAllowed,
    sr_operation_table: srOperation,
    tasks,
    uuid_and_ref_parsing: ids,
    vbd_operation_table: vbdOperation,
    vdi_allowed_operations: vdiAllowed,
    vdi_operation_table: vdiOperation,
    version_comparison: versions,
    vhd_layout: vhdLayouts,
    vif_device: vifDevices,
    vif_mac_from_seed: macs,
    vif_operation_table: vifOperation,
    vm_allowed_operations: vmAllowed,
    vm_and_pool_scenarios: vmAndPool,
    vm_anti_affinity_ranking: antiAffinity,
    vm_concurrent_operations: vmBeside,
    vm_misc_setters: miscSetters,
    vm_operation_table: vmOperation,
    vm_operations_in_progress: vmOperation,
    vm_placement_selection: placementSelection,
    vm_placement_tables: placementTables,
    vmss_schedule: vmssSchedule,
    wlb_url: wlbUrls,
    xe_cli_parsing: commandLines,
    xva_import_rules: xvaRules,
    xva_layout: xvaLayout,
    xva_ova_xml: ovaXml,
  }),
);
