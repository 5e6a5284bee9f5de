import { auth } from './auth/class.ts';
import { blob } from './blob/class.ts';
import { Bond } from './bond/class.ts';
import { Caller } from './caller/class.ts';
import { Certificate } from './certificate/class.ts';
import { Cluster } from './cluster/class.ts';
import { Cluster_host } from './cluster_host/class.ts';
import { console } from './console/class.ts';
import { crashdump } from './crashdump/class.ts';
import { data_source } from './data_source/class.ts';
import { Diagnostics } from './diagnostics/class.ts';
import { DR_task } from './dr_task/class.ts';
import { Driver_variant } from './driver_variant/class.ts';
import { event } from './event/class.ts';
import { Feature } from './feature/class.ts';
import { GPU_group } from './gpu_group/class.ts';
import { host } from './host/class.ts';
import { host_cpu } from './host_cpu/class.ts';
import { host_crashdump } from './host_crashdump/class.ts';
import { Host_driver } from './host_driver/class.ts';
import { host_metrics } from './host_metrics/class.ts';
import { host_patch } from './host_patch/class.ts';
import { LVHD } from './lvhd/class.ts';
import { message } from './message/class.ts';
import { network } from './network/class.ts';
import { network_sriov } from './network_sriov/class.ts';
import { Observer } from './observer/class.ts';
import { PBD } from './pbd/class.ts';
import { PCI } from './pci/class.ts';
import { PGPU } from './pgpu/class.ts';
import { PIF } from './pif/class.ts';
import { PIF_metrics } from './pif_metrics/class.ts';
import { pool } from './pool/class.ts';
import { pool_patch } from './pool_patch/class.ts';
import { pool_update } from './pool_update/class.ts';
import { probe_result } from './probe_result/class.ts';
import { PUSB } from './pusb/class.ts';
import { PVS_cache_storage } from './pvs_cache_storage/class.ts';
import { PVS_proxy } from './pvs_proxy/class.ts';
import { PVS_server } from './pvs_server/class.ts';
import { PVS_site } from './pvs_site/class.ts';
import { Rate_limit } from './rate_limit/class.ts';
import { Repository } from './repository/class.ts';
import { role } from './role/class.ts';
import { SDN_controller } from './sdn_controller/class.ts';
import { secret } from './secret/class.ts';
import { session } from './session/class.ts';
import { SM } from './sm/class.ts';
import { SR } from './sr/class.ts';
import { sr_stat } from './sr_stat/class.ts';
import { subject } from './subject/class.ts';
import { task } from './task/class.ts';
import { tunnel } from './tunnel/class.ts';
import { USB_group } from './usb_group/class.ts';
import { user } from './user/class.ts';
import { VBD } from './vbd/class.ts';
import { VBD_metrics } from './vbd_metrics/class.ts';
import { VDI } from './vdi/class.ts';
import { vdi_nbd_server_info } from './vdi_nbd_server_info/class.ts';
import { VGPU } from './vgpu/class.ts';
import { VGPU_type } from './vgpu_type/class.ts';
import { VIF } from './vif/class.ts';
import { VIF_metrics } from './vif_metrics/class.ts';
import { VLAN } from './vlan/class.ts';
import { VM } from './vm/class.ts';
import { VM_appliance } from './vm_appliance/class.ts';
import { VM_group } from './vm_group/class.ts';
import { VM_guest_metrics } from './vm_guest_metrics/class.ts';
import { VM_metrics } from './vm_metrics/class.ts';
import { VMPP } from './vmpp/class.ts';
import { VMSS } from './vmss/class.ts';
import { VTPM } from './vtpm/class.ts';
import { VUSB } from './vusb/class.ts';

/** Every class that is served, in the order of the XenAPI. */
export const classes = [
  session,
  auth,
  subject,
  role,
  task,
  event,
  pool,
  pool_patch,
  pool_update,
  VM,
  VM_metrics,
  VM_guest_metrics,
  VMPP,
  VMSS,
  VM_appliance,
  DR_task,
  host,
  host_crashdump,
  host_patch,
  host_metrics,
  host_cpu,
  network,
  VIF,
  VIF_metrics,
  PIF,
  PIF_metrics,
  Bond,
  VLAN,
  SM,
  SR,
  sr_stat,
  probe_result,
  LVHD,
  VDI,
  VBD,
  VBD_metrics,
  PBD,
  crashdump,
  VTPM,
  console,
  user,
  data_source,
  blob,
  message,
  secret,
  tunnel,
  network_sriov,
  PCI,
  PGPU,
  GPU_group,
  VGPU,
  VGPU_type,
  PVS_site,
  PVS_server,
  PVS_proxy,
  PVS_cache_storage,
  Feature,
  SDN_controller,
  vdi_nbd_server_info,
  PUSB,
  USB_group,
  VUSB,
  Cluster,
  Cluster_host,
  Certificate,
  Diagnostics,
  Repository,
  Observer,
  VM_group,
  Host_driver,
  Driver_variant,
  Caller,
  Rate_limit,
] as const;
