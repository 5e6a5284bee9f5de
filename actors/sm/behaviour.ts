import { implement } from '../../src/objects/implement.ts';
import { SM } from './class.ts';

/** Drivers are what `rows.ts` finds; clients only read them. */
export default implement(SM, {}, {});
