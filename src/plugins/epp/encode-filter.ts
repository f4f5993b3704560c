import { roleFilter } from './role-filter.ts'

/** Keeps endpoints that encode media. */
export const encodeFilter = roleFilter({
  type: 'encode-filter',
  stage: 'encode media',
  roles: ['encode', 'encode-prefill', 'encode-prefill-decode'],
  keepsUnlabelled: false,
})
