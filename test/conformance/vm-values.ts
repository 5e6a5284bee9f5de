import { networksOf } from '../../actors/vm/guest-agent.ts';
import { type Adapter, against } from './subject.ts';

export const guestNetworks: Adapter = ({ given, then }) => {
  const present: readonly string[] = given['xenstore keys present under the guest'];
  const read: readonly (readonly [string, string])[] =
    then['(xenstore path read, networks key) in this order'];
  // The cases also list paths that are looked at in vain: what is not there is in no map.
  const expected = read.filter(([path]) => present.includes(path)).map(([path, key]) => [key, path] as const);
  return against(networksOf(new Map(present.map((path) => [path, path]))), new Map(expected));
};
