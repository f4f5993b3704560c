import type { Shape } from './shape.ts'

/** Series whose labels depend on the moment: only the names of the labels count. */
const NAMES_ONLY = new Set(['vllm:lora_requests_info'])

/** Numbers in these labels are given, not measured. */
const GIVEN_LABELS = new Set(['handler', 'le', 'engine', 'status', 'max_lora', 'quantile'])

/**
 * The shape of a page in the Prometheus text format: each family with type and help, each series with its labels. What the
 * runtime of a Python engine says of itself (`python_*`, `process_*`) is left out.
 */
export function pageShape(text: string): Shape {
  const lines = text.split('\n').filter((line) => line !== '' && !/^(# (HELP|TYPE) )?(python|process)_/.test(line))
  return [...new Set(lines.map(lineShape))]
}

function lineShape(line: string): string {
  if (line.startsWith('#')) return line
  const open = line.indexOf('{')
  const name = open < 0 ? line.slice(0, line.indexOf(' ')) : line.slice(0, open)
  if (open < 0) return `series ${name}`
  const labels = [...line.slice(open + 1, line.lastIndexOf('}')).matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)]
  return `series ${name}{${labels.map(([, label = '', value = '']) => labelShape(name, label, value)).join(',')}}`
}

function labelShape(series: string, label: string, value: string): string {
  if (NAMES_ONLY.has(series)) return label
  return `${label}="${GIVEN_LABELS.has(label) ? value : value.replaceAll(/\d+(\.\d+)?/g, '#')}"`
}
