import { forced, hidden, type OneCall, oneCall, onHost, onlyHost } from '../one-call.ts';
import { hostCalls } from './host-calls.ts';

// The commands that are one call each: their parameters are named here, all else the message declares. Those
// of hosts and of the pool are in a file of their own.

const onVm = { selects: 'vm', standard: true } as const;
const ofVm = { selects: 'vm' } as const;
const onSr = { selects: 'sr' } as const;

const guests: readonly OneCall[] = [
  oneCall('vm-pause', 'VM.pause', '', onVm),
  oneCall('vm-unpause', 'VM.unpause', '', onVm),
  oneCall('vm-suspend', 'VM.suspend', '', onVm),
  oneCall('vm-reset-powerstate', 'VM.power_state_reset', '', { ...onVm, ...forced }),
  oneCall('vm-restart-device-models', 'VM.restart_device_models', '', onVm),
  oneCall('vm-query-services', 'VM.query_services', '', { ...onVm, hidden: true }),
  oneCall('vm-destroy', 'VM.destroy'),
  oneCall('vm-memory-dynamic-range-set', 'VM.set_memory_dynamic_range', 'min=min max=max', ofVm),
  oneCall('vm-memory-static-range-set', 'VM.set_memory_static_range', 'min=min max=max', ofVm),
  oneCall(
    'vm-memory-limits-set',
    'VM.set_memory_limits',
    'static_min=static-min static_max=static-max dynamic_min=dynamic-min dynamic_max=dynamic-max',
    ofVm,
  ),
  oneCall('vm-memory-set', 'VM.set_memory', 'value=memory', ofVm),
  oneCall('vm-memory-target-set', 'VM.set_memory_dynamic_range', 'min=target max=target', ofVm),
  oneCall('vm-memory-balloon', 'VM.set_memory_dynamic_range', 'min=target max=target', {
    ...ofVm,
    hidden: true,
  }),
  oneCall('vm-memory-target-wait', 'VM.wait_memory_target_live', '', { ...ofVm, hidden: true }),
  oneCall('vm-memory-shadow-multiplier-set', 'VM.set_shadow_multiplier_live', 'multiplier=multiplier', ofVm),
  oneCall('vm-compute-memory-overhead', 'VM.compute_memory_overhead', '', ofVm),
  oneCall(
    'vm-compute-maximum-memory',
    'VM.maximise_memory',
    'total=total approximate=approximate?false',
    onVm,
  ),
  oneCall('vm-vcpu-hotplug', 'VM.set_VCPUs_number_live', 'nvcpu=new-vcpus', ofVm),
  oneCall('vm-copy-bios-strings', 'VM.copy_bios_strings', 'host=host-uuid', ofVm),
  oneCall('vm-data-source-record', 'VM.record_data_source', 'data_source=data-source', ofVm),
  oneCall('vm-data-source-query', 'VM.query_data_source', 'data_source=data-source', ofVm),
  oneCall('vm-data-source-forget', 'VM.forget_data_source_archives', 'data_source=data-source', ofVm),
  oneCall(
    'vm-update-secureboot-certificates-on-boot',
    'VM.update_secureboot_certificates_on_boot',
    'mark=mark',
    ofVm,
  ),
  oneCall('vm-sysprep', 'VM.sysprep', 'unattend=@filename timeout=timeout?180', ofVm),
  oneCall('vm-set-uefi-mode', 'VM.set_uefi_mode', 'mode=mode'),
  oneCall('vm-get-secureboot-readiness', 'VM.get_secureboot_readiness'),
  oneCall('vm-create', 'VM.create', 'name_label=name-label name_description=name-description?', hidden),
  oneCall('vtpm-create', 'VTPM.create', 'vM=vm-uuid is_unique=is-unique?false'),
  oneCall('vtpm-destroy', 'VTPM.destroy', '', forced),
  oneCall('vusb-create', 'VUSB.create', 'VM=vm-uuid USB_group=usb-group-uuid'),
  oneCall('vusb-unplug', 'VUSB.unplug'),
  oneCall('vusb-destroy', 'VUSB.destroy'),
  oneCall(
    'vgpu-create',
    'VGPU.create',
    'VM=vm-uuid GPU_group=gpu-group-uuid type=vgpu-type-uuid? device=device?0',
  ),
  oneCall('vgpu-destroy', 'VGPU.destroy'),
  oneCall(
    'appliance-create',
    'VM_appliance.create',
    'name_label=name-label name_description=name-description?',
  ),
  oneCall('appliance-destroy', 'VM_appliance.destroy'),
  oneCall('appliance-start', 'VM_appliance.start', 'paused=paused?false'),
  oneCall(
    'vm-group-create',
    'VM_group.create',
    'name_label=name-label placement=placement name_description=name-description?',
  ),
  oneCall('vm-group-destroy', 'VM_group.destroy'),
  oneCall('vmss-destroy', 'VMSS.destroy'),
  oneCall(
    'vmss-create',
    'VMSS.create',
    'name_label=name-label type=type frequency=frequency name_description=name-description? ' +
      'enabled=enabled?true schedule=schedule: retained_snapshots=retained-snapshots?7',
  ),
];

const storage: readonly OneCall[] = [
  oneCall('vdi-destroy', 'VDI.destroy'),
  oneCall('vdi-forget', 'VDI.forget'),
  oneCall('vdi-update', 'VDI.update'),
  oneCall('vdi-unlock', 'VDI.force_unlock', '', forced),
  oneCall('vdi-data-destroy', 'VDI.data_destroy'),
  oneCall('vdi-enable-cbt', 'VDI.enable_cbt'),
  oneCall('vdi-disable-cbt', 'VDI.disable_cbt'),
  oneCall('vdi-snapshot', 'VDI.snapshot', '', { ignores: ['driver-params-'] }),
  oneCall('vdi-list-changed-blocks', 'VDI.list_changed_blocks', 'vdi_to=vdi-to-uuid', {
    self: 'vdi-from-uuid',
  }),
  oneCall(
    'vdi-create',
    'VDI.create',
    'SR=sr-uuid name_label=name-label virtual_size=virtual-size sm_config=sm-config: ' +
      'sharable=sharable?false tags=tags: type=type?user',
  ),
  oneCall(
    'vdi-introduce',
    'VDI.introduce',
    'uuid=uuid SR=sr-uuid type=type location=location name_description=name-description? ' +
      'sharable=sharable? read_only=read-only? managed=managed? other_config=other-config: ' +
      'xenstore_data=xenstore-data: sm_config=sm-config: name_label=name-label?',
  ),
  oneCall('vdi-generate-config', 'VDI.generate_config', 'host=host-uuid vdi=uuid', hidden),
  oneCall('vbd-plug', 'VBD.plug'),
  oneCall('vbd-destroy', 'VBD.destroy'),
  oneCall('vbd-eject', 'VBD.eject'),
  oneCall('vbd-insert', 'VBD.insert', 'vdi=vdi-uuid'),
  oneCall('vbd-pause', 'VBD.pause', '', hidden),
  oneCall('vbd-unpause', 'VBD.unpause', 'token=token', hidden),
  oneCall('sr-scan', 'SR.scan'),
  oneCall('sr-update', 'SR.update'),
  oneCall('sr-forget', 'SR.forget'),
  oneCall('sr-destroy', 'SR.destroy'),
  oneCall('sr-enable-database-replication', 'SR.enable_database_replication'),
  oneCall('sr-disable-database-replication', 'SR.disable_database_replication'),
  oneCall(
    'sr-introduce',
    'SR.introduce',
    'name_label=name-label type=type uuid=uuid name_description=name-description? shared=shared?false ' +
      'content_type=content-type?',
  ),
  oneCall('sr-data-source-record', 'SR.record_data_source', 'data_source=data-source', onSr),
  oneCall('sr-data-source-query', 'SR.query_data_source', 'data_source=data-source', onSr),
  oneCall('sr-data-source-forget', 'SR.forget_data_source_archives', 'data_source=data-source', onSr),
  oneCall(
    'lvhd-enable-thin-provisioning',
    'LVHD.enable_thin_provisioning',
    'SR=sr-uuid initial_allocation=initial-allocation allocation_quantum=allocation-quantum',
    onHost,
  ),
  oneCall('pbd-create', 'PBD.create', 'host=host-uuid SR=sr-uuid device_config=device-config:'),
  oneCall('pbd-plug', 'PBD.plug'),
  oneCall('pbd-unplug', 'PBD.unplug'),
  oneCall('pbd-destroy', 'PBD.destroy'),
  oneCall(
    'drtask-create',
    'DR_task.create',
    'type=type device_config=device-config: whitelist=sr-whitelist?',
  ),
  oneCall('drtask-destroy', 'DR_task.destroy'),
];

const networks: readonly OneCall[] = [
  oneCall(
    'network-create',
    'network.create',
    'name_label=name-label name_description=name-description? MTU=MTU?1500 bridge=bridge? ' +
      'managed=managed?true',
  ),
  oneCall('network-destroy', 'network.destroy'),
  oneCall('network-attach', 'network.attach', 'host=host-uuid', hidden),
  oneCall('network-sriov-create', 'network_sriov.create', 'pif=pif-uuid network=network-uuid'),
  oneCall('network-sriov-destroy', 'network_sriov.destroy'),
  oneCall('vif-plug', 'VIF.plug'),
  oneCall('vif-destroy', 'VIF.destroy'),
  oneCall('vif-move', 'VIF.move', 'network=network-uuid'),
  oneCall('vif-configure-ipv4', 'VIF.configure_ipv4', 'mode=mode address=address? gateway=gateway?'),
  oneCall('vif-configure-ipv6', 'VIF.configure_ipv6', 'mode=mode address=address? gateway=gateway?'),
  oneCall('pif-plug', 'PIF.plug'),
  oneCall('pif-unplug', 'PIF.unplug'),
  oneCall('pif-forget', 'PIF.forget'),
  oneCall('pif-db-forget', 'PIF.db_forget', '', hidden),
  oneCall('pif-scan', 'PIF.scan', 'host=host-uuid'),
  oneCall('pif-introduce', 'PIF.introduce', 'host=host-uuid device=device MAC=mac? managed=managed?true'),
  oneCall(
    'pif-reconfigure-ip',
    'PIF.reconfigure_ip',
    'mode=mode IP=IP? netmask=netmask? gateway=gateway? DNS=DNS?',
  ),
  oneCall('pif-reconfigure-ipv6', 'PIF.reconfigure_ipv6', 'mode=mode IPv6=IPv6? gateway=gateway? DNS=DNS?'),
  oneCall(
    'pif-set-primary-address-type',
    'PIF.set_primary_address_type',
    'primary_address_type=primary_address_type',
  ),
  oneCall('vlan-destroy', 'VLAN.destroy'),
  oneCall('vlan-create', 'VLAN.create', 'tagged_PIF=pif-uuid tag=vlan network=network-uuid'),
  oneCall('pool-vlan-create', 'pool.create_VLAN_from_PIF', 'pif=pif-uuid VLAN=vlan network=network-uuid'),
  oneCall(
    'bond-create',
    'Bond.create',
    'network=network-uuid members=pif-uuids MAC=mac? mode=mode?balance-slb properties=properties:',
  ),
  oneCall('bond-destroy', 'Bond.destroy'),
  oneCall('bond-set-mode', 'Bond.set_mode', 'value=mode'),
  oneCall(
    'tunnel-create',
    'tunnel.create',
    'transport_PIF=pif-uuid network=network-uuid protocol=protocol?gre',
  ),
  oneCall('tunnel-destroy', 'tunnel.destroy'),
  oneCall(
    'sdn-controller-introduce',
    'SDN_controller.introduce',
    'address=address? protocol=protocol?ssl port=tcp-port?0',
  ),
  oneCall('sdn-controller-forget', 'SDN_controller.forget'),
  oneCall(
    'pvs-site-introduce',
    'PVS_site.introduce',
    'name_label=name-label name_description=name-description? PVS_uuid=pvs-uuid?',
  ),
  oneCall('pvs-site-forget', 'PVS_site.forget'),
  oneCall(
    'pvs-server-introduce',
    'PVS_server.introduce',
    'addresses=addresses first_port=first-port last_port=last-port site=pvs-site-uuid',
  ),
  oneCall('pvs-server-forget', 'PVS_server.forget'),
  oneCall('pvs-proxy-create', 'PVS_proxy.create', 'site=pvs-site-uuid VIF=vif-uuid'),
  oneCall('pvs-proxy-destroy', 'PVS_proxy.destroy'),
  oneCall(
    'pvs-cache-storage-create',
    'PVS_cache_storage.create',
    'SR=sr-uuid site=pvs-site-uuid size=size',
    onlyHost,
  ),
  oneCall('pvs-cache-storage-destroy', 'PVS_cache_storage.destroy'),
];

export const oneCalls: readonly OneCall[] = [...guests, ...storage, ...networks, ...hostCalls];
