import { implement } from '../../src/objects/implement.ts';
import { VM_guest_metrics } from './class.ts';

/** Written with the rows of their VM, as its agent reports; clients only keep notes in them. */
export default implement(VM_guest_metrics, {}, {});
