import { roleFilter } from './role-filter.ts'

/** Keeps endpoints that decode. */
export const decodeFilter = roleFilter({
  type: 'decode-filter',
  stage: 'decode',
  roles: ['decode', 'prefill-decode', 'both', 'encode-prefill-decode'],
  keepsUnlabelled: true,
})
