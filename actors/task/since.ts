import type { Since } from '../../src/model/releases.ts';

export const since: Since = {
  release: 'rio',
  later: {
    miami: ['other_config'],
    orlando: ['subtask_of', 'subtasks'],
    dundee: ['backtrace'],
    falcon: ['set_status'],
    stockholm: ['set_progress'],
    '21.3.0': ['set_result', 'set_error_info'],
    '25.8.0': ['add_to_other_config', 'remove_from_other_config', 'set_other_config'],
  },
};
