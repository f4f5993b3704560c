/** Gives names small numbers that never change: the first name is 0. Append-only, so that a number means one name. */
export interface InternedNames {
  /** The number of a name, given now if it has none; -1 when all `limit` numbers are given away. */
  idOf(name: string): number
  /** Every name that has a number. A copy, to be handed to another thread. */
  ids(): ReadonlyMap<string, number>
}

/** Creates an empty collection for at most `limit` names. */
export function createInternedNames(limit: number): InternedNames {
  const ids = new Map<string, number>()
  return {
    idOf(name) {
      const known = ids.get(name)
      if (known !== undefined) return known
      if (ids.size >= limit) return -1
      const id = ids.size
      ids.set(name, id)
      return id
    },
    ids: () => new Map(ids),
  }
}
