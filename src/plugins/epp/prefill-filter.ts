import { roleFilter } from './role-filter.ts'

/** Keeps endpoints that prefill. */
export const prefillFilter = roleFilter({
  type: 'prefill-filter',
  stage: 'prefill',
  roles: ['prefill', 'encode-prefill', 'prefill-decode', 'both', 'encode-prefill-decode'],
  keepsUnlabelled: false,
})
