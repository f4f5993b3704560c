import { PageScan } from '#wire/prometheus-scan.ts'
import { type EngineProfile, type FieldReadings, type Reading, startTime, type Term } from './engines.ts'
import type { LoadReading } from './load-reading.ts'
import type { EngineLife } from './restart-watch.ts'

/** Most ranks of one page told apart; further ones are taken for the last. */
const maxRanks = 256

/** Most adapter names read of one page: as many as the endpoint table tells apart. */
const maxNames = 256

/** Pages after which what an engine is configured with is read anew; it changes with a restart only. */
const settingsPages = 16

/** What an engine is configured with. */
interface Settings {
  readonly blockSize: number
  readonly blockCount: number
  readonly maxAdapters: number
  readonly readAtPage: number
}

/** The newest list of adapters. */
interface AdapterList {
  /** Value of the series it is from. */
  readonly at: number
  readonly names: readonly string[]
  readonly max: number
}

/** Reads the pages of one endpoint, or of the ranks that share one page, by an engine's profile. */
export class PageReader {
  /** Names the profile may read, each once. */
  readonly names: readonly string[]
  readonly #profile: EngineProfile
  readonly #scan: PageScan
  readonly #indexes = new Map<string, number>()
  readonly #ranks: string[] = []
  readonly #maxima: number[] = []
  readonly #settings = new Map<number | undefined, Settings>()
  #list: AdapterList | undefined = undefined
  #pages = 0

  constructor(profile: EngineProfile) {
    const names = wantedNames(profile)
    names.forEach((name, index) => void this.#indexes.set(name, index))
    this.names = names
    this.#profile = profile
    this.#scan = new PageScan(names)
  }

  /** Takes a page, which must stay as it is while it is read. */
  open(page: Buffer): void {
    this.#scan.open(page)
    this.#pages++
  }

  /** To be called when the endpoint has restarted or answers with another selection of names. */
  forget(): void {
    this.#scan.forgetMisses()
    this.#settings.clear()
    this.#list = undefined
  }

  /** Number of series of each name (order of `names`) on the open page. */
  seriesCounts(): number[] {
    return this.names.map((_, index) => {
      let count = 0
      if (this.#scan.seek(index))
        do count++
        while (this.#scan.next())
      return count
    })
  }

  /** Reads the open page: of one rank, or of all of them put together. */
  read(rank: number | undefined): LoadReading {
    const only = rank === undefined ? undefined : String(rank)
    const { fields } = this.#profile
    const adapters = this.#adapters()
    const settings = this.#settingsOf(rank, only)
    return {
      running: this.#field(fields.running, only),
      waiting: this.#field(fields.waiting, only),
      kvUse: Math.min(1, this.#field(fields.kvUse, only)),
      blockSize: settings.blockSize,
      blockCount: settings.blockCount,
      maxAdapters: adapters?.max ?? settings.maxAdapters,
      adapterCount: adapters?.names.length ?? this.#field(fields.adapterCount, only),
      adapters: adapters?.names,
    }
  }

  /** What the open page tells of the process that wrote it. Valid until something else is read. */
  life(): EngineLife {
    const startedAtS = this.#term(startTime, undefined)
    const served = this.#field(this.#profile.fields.served, undefined)
    return { startedAtS, served, ranks: this.#ranks, counts: this.#maxima }
  }

  #settingsOf(rank: number | undefined, only: string | undefined): Settings {
    const known = this.#settings.get(rank)
    if (known !== undefined && this.#pages - known.readAtPage < settingsPages) return known
    const { fields } = this.#profile
    const settings = {
      blockSize: this.#field(fields.blockSize, only),
      blockCount: this.#field(fields.blockCount, only),
      maxAdapters: this.#field(fields.maxAdapters, only),
      readAtPage: this.#pages,
    }
    if (this.#settings.size >= maxRanks) this.#settings.clear()
    this.#settings.set(rank, settings)
    return settings
  }

  #field(readings: readonly Reading[] | undefined, rank: string | undefined): number {
    for (const reading of readings ?? []) {
      const value = this.#reading(reading, rank)
      if (Number.isFinite(value) && value >= 0) return value
    }
    return Number.NaN
  }

  #reading(reading: Reading, rank: string | undefined): number {
    let total = this.#term(reading.terms[0], rank)
    if (Number.isNaN(total)) return Number.NaN
    for (let i = 1; i < reading.terms.length; i++) {
      const more = this.#term(reading.terms[i] as Term, rank)
      if (!Number.isNaN(more)) total += more
    }
    return reading.over === undefined ? total : total / this.#term(reading.over, rank)
  }

  /** The greatest series of each rank (an engine may repeat a gauge per tensor-parallel rank), then merged. */
  #term(term: Term, rank: string | undefined): number {
    const scan = this.#scan
    const index = this.#indexes.get(term.name)
    this.#ranks.length = 0
    this.#maxima.length = 0
    if (index === undefined || !scan.seek(index)) return Number.NaN
    if (rank === undefined && term.where === undefined) {
      const only = this.#seriesValue(term)
      // One series, as of most engines: no label has to be read.
      if (!scan.next()) return only
      scan.seek(index)
    }
    do {
      const value = this.#seriesValue(term)
      if (!Number.isNaN(value) && this.#meets(term)) this.#noteRank(rank, value)
    } while (scan.next())
    return merged(this.#maxima, term.merge)
  }

  #seriesValue(term: Term): number {
    const value = term.label === undefined ? this.#scan.value : numberFromLabel(this.#scan.label(term.label))
    return Number.isFinite(value) ? value : Number.NaN
  }

  #meets(term: Term): boolean {
    for (const { label, value } of term.where ?? []) if ((this.#scan.label(label) ?? '') !== value) return false
    return true
  }

  #noteRank(only: string | undefined, value: number): void {
    const { rankLabel } = this.#profile
    const rank = rankLabel === undefined ? '' : (this.#scan.label(rankLabel) ?? '')
    // A page without the rank label has one rank only, whatever its number.
    if (only !== undefined && rank !== only && rank !== '') return
    let at = this.#ranks.indexOf(rank)
    if (at < 0) at = this.#ranks.length < maxRanks ? this.#ranks.push(rank) - 1 : maxRanks - 1
    this.#maxima[at] = Math.max(this.#maxima[at] ?? Number.NEGATIVE_INFINITY, value)
  }

  #adapters(): AdapterList | undefined {
    const series = this.#profile.adapters
    const scan = this.#scan
    const index = series === undefined ? -1 : (this.#indexes.get(series.name) ?? -1)
    if (series === undefined || !scan.seek(index)) return undefined
    let newest = Number.NEGATIVE_INFINITY
    do if (scan.value > newest) newest = scan.value
    while (scan.next())
    // Labels are read only when the engine has written a newer list.
    if (this.#list?.at === newest) return this.#list
    if (!scan.seek(index)) return undefined
    while (scan.value !== newest) if (!scan.next()) return undefined
    const names = namesFromLists(series.lists.map((label) => scan.label(label)))
    this.#list = { at: newest, names, max: numberFromLabel(scan.label(series.max)) }
    return this.#list
  }
}

/** Every sample name that is read of an engine's page, each once. */
export function wantedNames(profile: EngineProfile): string[] {
  const names = new Set<string>([startTime.name])
  for (const readings of Object.values(profile.fields as Record<keyof FieldReadings, readonly Reading[]>)) {
    for (const { terms, over } of readings) {
      for (const { name } of terms) names.add(name)
      if (over !== undefined) names.add(over.name)
    }
  }
  if (profile.adapters !== undefined) names.add(profile.adapters.name)
  return [...names]
}

function merged(values: readonly number[], merge: 'sum' | 'max'): number {
  if (values.length === 0) return Number.NaN
  let result = values[0] as number
  for (let i = 1; i < values.length; i++) {
    result = merge === 'sum' ? result + (values[i] as number) : Math.max(result, values[i] as number)
  }
  return result
}

function numberFromLabel(text: string | undefined): number {
  return text !== undefined && /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : Number.NaN
}

function namesFromLists(lists: readonly (string | undefined)[]): string[] {
  const names = new Set<string>()
  for (const list of lists) {
    for (const part of (list ?? '').split(',')) {
      const name = part.trim()
      if (name !== '' && names.size < maxNames) names.add(name)
    }
  }
  return [...names]
}
