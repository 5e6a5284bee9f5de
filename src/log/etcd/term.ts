export { type Tenure as Term, TenureOver as TermOver, under, wait } from './tenure.ts';
