/** A page smaller than this is not worth narrowing. */
const minFullBytes = 8 * 1024

/** So many probes may break the connection before narrowing is given up for good. */
const maxBrokenProbes = 3

/** A narrowed page must be at most this share of the full one. */
const maxNarrowedShare = 0.8

type State =
  | { readonly kind: 'full'; readonly settled: boolean }
  | { readonly kind: 'probe' | 'narrowed'; readonly form: number }

/**
 * Finds out whether an endpoint's page can be had with the wanted names only, and asks for it in that way if so.
 *
 * prometheus_client's ASGI app, which vLLM, SGLang and TensorRT-LLM mount, restricts the page to the names given as
 * `name[]`: measured on such a server, 70 kB in 12..28 ms become 2 kB in 1.5 ms. Other servers ignore the query, answer
 * with an error, or (multiprocess mode) with an empty page. So a large full page is followed by one narrowed one, which
 * is taken only if it has every wanted series that the full page had; otherwise the full page stays, until a restart.
 */
export class PageQuery {
  readonly #path: string
  readonly #forms: readonly string[]
  #state: State = { kind: 'full', settled: false }
  #counts: readonly number[] = []
  #fullBytes = 0
  #brokenProbes = 0

  /** `names` in the order of the counts given later. */
  constructor(path: string, names: readonly string[]) {
    this.#path = path
    this.#forms = narrowedForms(path, names)
  }

  /** Path to get next. */
  get path(): string {
    return this.#state.kind === 'full' ? this.#path : (this.#forms[this.#state.form] ?? this.#path)
  }

  /** Whether the next page is to be handed to `takeProbe`. */
  get isProbing(): boolean {
    return this.#state.kind === 'probe'
  }

  /** Whether narrowed pages have been found to be complete. */
  get isNarrowed(): boolean {
    return this.#state.kind === 'narrowed'
  }

  /** Whether `takeFull` wants the next full page. */
  get wantsFull(): boolean {
    return this.#state.kind === 'full' && !this.#state.settled
  }

  /** Takes a good full page: the series of each name, and its size. */
  takeFull(counts: readonly number[], bytes: number): void {
    this.#counts = counts
    this.#fullBytes = bytes
    const worth = bytes >= minFullBytes && this.#forms.length > 0
    this.#state = worth ? { kind: 'probe', form: 0 } : { kind: 'full', settled: true }
  }

  /**
   * Takes the narrowed page of a probe, undefined for an answer that is none. False when it cannot serve: ask again at
   * once, with the new path.
   */
  takeProbe(counts: readonly number[] | undefined, bytes: number): boolean {
    const state = this.#state
    if (state.kind !== 'probe') return false
    const complete = counts !== undefined && this.#counts.every((full, i) => (counts[i] ?? 0) >= full)
    if (complete && bytes <= this.#fullBytes * maxNarrowedShare) {
      this.#state = { kind: 'narrowed', form: state.form }
      return true
    }
    const next = state.form + 1
    this.#state = next < this.#forms.length ? { kind: 'probe', form: next } : { kind: 'full', settled: true }
    return false
  }

  /** Narrowed pages have turned out to say less than they did: the full page stays, until a restart. */
  widen(): void {
    this.#state = { kind: 'full', settled: true }
  }

  /** A request has failed without an answer: one for a probe counts against narrowing. */
  noteFailure(): void {
    if (this.#state.kind !== 'probe') return
    this.#brokenProbes++
    this.#state = { kind: 'full', settled: true }
  }

  /** The endpoint may have been started anew, by another version: find out again. */
  restart(): void {
    this.#state = { kind: 'full', settled: this.#brokenProbes >= maxBrokenProbes }
  }
}

/**
 * With a slash after the path first: where vLLM's instrumentator serves the path itself (up to 2025), it ignores the
 * query, and only paths below it reach prometheus_client. Newer ones, and other engines, take either.
 */
function narrowedForms(path: string, names: readonly string[]): string[] {
  if (names.length === 0) return []
  const [base = '', query] = path.split('?', 2)
  const all = [
    ...(query === undefined ? [] : [query]),
    ...names.map((name) => `name%5B%5D=${encodeURIComponent(name)}`),
  ]
  const plain = `${base}?${all.join('&')}`
  return base.endsWith('/') ? [plain] : [`${base}/?${all.join('&')}`, plain]
}
