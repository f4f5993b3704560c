import { geometricMean, pairedRatio, type Ratio } from '#lab/ratio.ts'
import type { Figures, Row } from './rows.ts'

/** A figure of which less is better. */
export type Time = 'e2eMeanMs' | 'ttftMeanMs' | 'ttftP99Ms'

/** An arm over columns: times over the best of each. */
export interface ArmRegret {
  readonly arm: string
  /** Columns that it ran on. */
  readonly columns: number
  /** Geometric mean over them. */
  readonly mean: number
  readonly worst: number
  /** Title of the worst column. */
  readonly worstAt: string
}

/** An arm against another one in a column. */
export interface Against {
  readonly other: string
  /** Over paired seeds. */
  readonly ratio: Ratio
}

/** Rows by column and arm, each in the order of its seeds. */
export class Results {
  readonly rows: readonly Row[]
  readonly #cells = new Map<string, Map<string, Row[]>>()

  constructor(rows: readonly Row[]) {
    this.rows = rows
    for (const row of rows) {
      const column = this.#cells.get(row.column) ?? new Map<string, Row[]>()
      this.#cells.set(row.column, column)
      const cell = column.get(row.arm) ?? []
      column.set(row.arm, cell)
      cell.push(row)
    }
    for (const column of this.#cells.values()) for (const cell of column.values()) cell.sort((a, b) => a.seed - b.seed)
  }

  /** Whether an arm ran on a column. */
  has(column: string, arm: string): boolean {
    return this.#cells.get(column)?.has(arm) === true
  }

  /** A figure by seed; empty where the arm did not run. */
  values(column: string, arm: string, figure: keyof Figures): readonly number[] {
    return (this.#cells.get(column)?.get(arm) ?? []).map(({ figures }) => figures[figure])
  }

  /** Mean over seeds; NaN where the arm did not run. */
  mean(column: string, arm: string, figure: keyof Figures): number {
    const values = this.values(column, arm, figure)
    return values.reduce((sum, value) => sum + value, 0) / values.length
  }

  /** One arm over another in a column, paired by seed; undefined where one of them did not run. */
  ratio(column: string, [arm, other]: readonly [string, string], figure: keyof Figures): Ratio | undefined {
    if (!this.has(column, arm) || !this.has(column, other)) return undefined
    return pairedRatio(this.values(column, arm, figure), this.values(column, other, figure))
  }

  /** The arm with the least geometric mean over seeds, of those with the most seeds; undefined where none ran. */
  best(column: string, arms: readonly string[], time: Time): string | undefined {
    const found = arms.map((arm) => ({ arm, values: this.values(column, arm, time) }))
    const most = Math.max(1, ...found.map(({ values }) => values.length))
    let best: string | undefined
    let least = Number.POSITIVE_INFINITY
    for (const { arm, values } of found) {
      const mean = values.length < most ? Number.POSITIVE_INFINITY : geometricMean(values)
      if (mean >= least) continue
      best = arm
      least = mean
    }
    return best
  }

  /** An arm against the best of others in a column; undefined where it, or all of them, did not run. */
  against(column: string, arm: string, { others, time }: Among): Against | undefined {
    const other = this.best(column, others, time)
    const ratio = other === undefined ? undefined : this.ratio(column, [arm, other], time)
    return other === undefined || ratio === undefined ? undefined : { other, ratio }
  }

  /** Times of an arm over those of the best of `others` (itself among them or not), over the columns that it ran on. */
  regret(columns: readonly string[], arm: string, among: Among): ArmRegret {
    const ratios = columns.flatMap((column) => {
      const against = this.against(column, arm, among)
      return against === undefined ? [] : [{ column, ratio: against.ratio.ratio }]
    })
    const worst = ratios.reduce((most, each) => (each.ratio > most.ratio ? each : most), { column: '', ratio: 0 })
    return {
      arm,
      columns: ratios.length,
      mean: geometricMean(ratios.map(({ ratio }) => ratio)),
      worst: worst.ratio,
      worstAt: worst.column,
    }
  }
}

/** What arms are compared among, and in what. */
export interface Among {
  readonly others: readonly string[]
  readonly time: Time
}
