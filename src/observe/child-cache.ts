/** Children of one metric by one or two label values. */
export interface ChildCache<Handle> {
  get(first: string, second?: string): Handle
}

/**
 * Keeps the children that `create` makes, so that finding one makes no string and no object (about 20 ns). The caller
 * bounds the values: they come from the configuration or from tables of ours.
 */
export function createChildCache<Handle>(create: (first: string, second: string) => Handle): ChildCache<Handle> {
  const children = new Map<string, Map<string, Handle>>()
  const add = (first: string, second: string): Handle => {
    const created = create(first, second)
    const bySecond = children.get(first) ?? new Map<string, Handle>()
    children.set(first, bySecond.set(second, created))
    return created
  }
  return { get: (first, second = '') => children.get(first)?.get(second) ?? add(first, second) }
}
