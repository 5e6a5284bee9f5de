import type { Messages } from '../../../src/model/class.ts';
import { bool, float, int, label, string } from '../../../src/model/types.ts';
import { firmwareVariable, firmwareVariables } from '../types.ts';

export const resources = {
  set_VCPUs_number_live: {
    doc: 'Changes how many virtual CPUs a running guest has online.',
    role: 'vm-admin',
    self: 'self',
    params: {
      nvcpu: [int, 'Number wanted; from 1 to `VCPUs_max`.'],
    },
    errors: ['OPERATION_NOT_ALLOWED', 'LICENCE_RESTRICTION'],
    async: true,
  },
  add_to_VCPUs_params_live: {
    doc: 'Sets one scheduler parameter of a running guest, for now and for later boots.',
    role: 'vm-admin',
    self: 'self',
    params: {
      key: [label, 'Parameter, such as `weight`.'],
      value: [string, 'New setting.'],
    },
    async: true,
  },
  set_NVRAM: {
    doc: 'Replaces all firmware variables of a halted VM.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [firmwareVariables, 'Variables by name.'],
    },
  },
  add_to_NVRAM: {
    doc: 'Sets one firmware variable that is not set yet.',
    role: 'vm-admin',
    self: 'self',
    params: {
      key: [label, 'Name of the variable.'],
      value: [firmwareVariable, 'What it holds.'],
    },
  },
  remove_from_NVRAM: {
    frees: true,
    doc: 'Deletes one firmware variable; one that does not exist is no error.',
    role: 'vm-admin',
    self: 'self',
    params: {
      key: [label, 'Name of the variable.'],
    },
  },
  set_ha_restart_priority: {
    doc: 'Chooses how High Availability treats the VM when its host fails.',
    role: 'pool-operator',
    self: 'self',
    params: {
      value: [string, '`restart`, `best-effort` or empty.'],
    },
  },
  set_ha_always_run: {
    doc: 'Older way to protect the VM; choose a restart priority in its place.',
    role: 'pool-operator',
    self: 'self',
    params: {
      value: [bool, 'True to protect.'],
    },
  },
  compute_memory_overhead: {
    doc: "Works out the bytes the hypervisor would need beyond the guest's own memory.",
    role: 'read-only',
    self: 'vm',
    result: int,
    async: true,
  },
  set_memory_dynamic_max: {
    doc: 'Sets the upper end of the ballooning range.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      value: [int, 'Bytes; at most `memory_static_max`.'],
    },
  },
  set_memory_dynamic_min: {
    doc: 'Sets the lower end of the ballooning range.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      value: [int, 'Bytes; at least `memory_static_min`.'],
    },
  },
  set_memory_dynamic_range: {
    doc: 'Sets both ends of the ballooning range at once, also while the guest runs.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      min: [int, 'Lower end in bytes.'],
      max: [int, 'Upper end in bytes.'],
    },
    async: true,
  },
  set_memory_static_max: {
    doc: 'Sets the most memory that a halted VM will ever see.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      value: [int, 'Bytes; not below the dynamic range.'],
    },
    errors: ['HA_OPERATION_WOULD_BREAK_FAILOVER_PLAN'],
  },
  set_memory_static_min: {
    doc: 'Sets the least memory that a halted VM can work with.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      value: [int, 'Bytes; not above the dynamic range.'],
    },
  },
  set_memory_static_range: {
    doc: 'Sets both static limits of a halted VM at once.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      min: [int, 'Lower limit in bytes.'],
      max: [int, 'Upper limit in bytes.'],
    },
    async: true,
  },
  set_memory_limits: {
    doc: 'Sets all four memory limits at once, which avoids the trouble of finding an order for them.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      static_min: [int, 'Fewest bytes the guest can work with.'],
      static_max: [int, 'Most bytes the guest can ever see.'],
      dynamic_min: [int, 'Lower end of the ballooning range in bytes.'],
      dynamic_max: [int, 'Upper end of the ballooning range in bytes.'],
    },
    async: true,
  },
  set_memory: {
    doc: 'Gives the VM a fixed amount of memory, leaving no room for ballooning.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      value: [int, 'Bytes for the dynamic range and the static maximum alike.'],
    },
    async: true,
  },
  set_memory_target_live: {
    doc: 'Older way to give the balloon of a running guest a target; prefer the dynamic range.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      target: [int, 'Bytes to aim for.'],
    },
    async: true,
  },
  wait_memory_target_live: {
    doc: 'Waits until a running guest has come close to its memory target.',
    role: 'read-only',
    self: 'self',
    async: true,
  },
  get_cooperative: {
    doc: 'Older question of whether the balloon driver of the guest keeps up with its target.',
    role: 'read-only',
    self: 'self',
    result: bool,
    async: true,
  },
  set_HVM_shadow_multiplier: {
    doc: 'Sets how much shadow memory a halted VM gets at its next start.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      value: [float, 'Factor; 1.0 or more.'],
    },
  },
  set_shadow_multiplier_live: {
    doc: 'Changes how much shadow memory a running guest has, if the host can spare it.',
    role: 'vm-power-admin',
    self: 'self',
    params: {
      multiplier: [float, 'Factor; 1.0 or more.'],
    },
    async: true,
  },
  set_VCPUs_max: {
    doc: 'Sets the most virtual CPUs that a halted VM can be given.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [int, 'Number; at least `VCPUs_at_startup`.'],
    },
  },
  set_VCPUs_at_startup: {
    doc: 'Sets how many virtual CPUs are online when the guest boots.',
    role: 'vm-admin',
    self: 'self',
    params: {
      value: [int, 'Number; from 1 to `VCPUs_max`.'],
    },
  },
  send_sysrq: {
    doc: 'Presses a magic system request key in the guest.',
    role: 'pool-admin',
    self: 'vm',
    params: {
      key: [label, 'The key, one letter.'],
    },
    errors: ['VM_BAD_POWER_STATE'],
    async: true,
  },
  send_trigger: {
    doc: 'Raises a hardware event in the guest, such as a non-maskable interrupt.',
    role: 'pool-admin',
    self: 'vm',
    params: {
      trigger: [string, 'Name of the event, such as `nmi`, `power` or `sleep`.'],
    },
    errors: ['VM_BAD_POWER_STATE'],
    async: true,
  },
  maximise_memory: {
    doc: 'Works out the largest static maximum with which the VM fits into a given amount of memory.',
    role: 'read-only',
    self: 'self',
    params: {
      total: [int, 'Bytes to fit into, overhead included.'],
      approximate: [bool, 'True rounds the overhead up, so that the answer stays valid after small changes.'],
    },
    result: int,
    async: true,
  },
} as const satisfies Messages;
