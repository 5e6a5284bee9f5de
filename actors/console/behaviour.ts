import { implement } from '../../src/objects/implement.ts';
import { Fault } from '../../src/std/fault.ts';
import { console } from './class.ts';
import { showing } from './showing.ts';

/** Consoles come and go with the guest; a client can neither make one nor take one away. */
const refused = {
  decide: () => {
    throw new Fault('OPERATION_NOT_ALLOWED', ['Consoles belong to the VM that they show']);
  },
};

export default implement(
  console,
  { owner: ({ VM }) => ['VM', VM] },
  { create: refused, destroy: refused, ...showing },
);
