import { renderLatest } from '#bench/table.ts'
import { renderConfigReference } from '#config/reference.ts'
import { renderConformanceReport } from '#conformance/engine-probe/report.ts'
import { renderErrorReference } from '#observe/reference-errors.ts'
import { renderMetricsReference } from '#observe/reference-metrics.ts'
import { renderPluginReference } from '#plugins/reference.ts'
import { renderSmugglingTables } from '#test/smuggling-table.ts'
import type { Generator } from './generator.ts'

/** The pages of docs/reference/: each is rendered by the folder that owns the data. */
export const references: readonly Generator[] = [
  { file: 'README.md', marker: 'bench', render: () => renderLatest() },
  { file: 'docs/performance.md', marker: 'bench', render: () => renderLatest('../') },
  { file: 'docs/reference/config.md', render: renderConfigReference },
  { file: 'docs/reference/errors.md', render: renderErrorReference },
  { file: 'docs/reference/http1.md', marker: 'smuggling', render: renderSmugglingTables },
  { file: 'docs/reference/metrics.md', render: renderMetricsReference },
  { file: 'docs/reference/plugins.md', render: renderPluginReference },
  { file: 'docs/reference/simulator-conformance.md', render: renderConformanceReport },
]
