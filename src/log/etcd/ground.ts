export type { EtcdContext as EtcdGround } from './context.ts';
