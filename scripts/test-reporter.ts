/**
 * Reporter for `node --test`: a line per file, failures in full, skips by name. When TEST_RESULT_FILE is set, the counts
 * are written there as JSON for scripts/check.ts; otherwise the run closes with `N passed, N failed`.
 */
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'
import type { TestEvent } from 'node:test/reporters'
import { inspect } from 'node:util'

export interface TestResult {
  readonly passed: number
  readonly failed: number
  /** `file: title (reason)` of every test marked skip or todo. */
  readonly skipped: readonly string[]
}

type Finished = Extract<TestEvent, { type: 'test:pass' | 'test:fail' }>['data']

const maxOutputChars = 20_000

function shownPath(file: string | undefined): string {
  return file === undefined ? '(no file)' : relative('.', file)
}

function indent(text: string): string {
  return text.replace(/^/gm, '    ')
}

function errorOf(data: Finished): (Error & { failureType?: string }) | undefined {
  return (data.details as { error?: Error }).error
}

function describeFailure(data: Finished): string {
  const error = errorOf(data)
  const reason = error?.cause ?? error
  const text = reason instanceof Error ? (reason.stack ?? reason.message) : inspect(reason)
  const lines = text.split('\n').filter((line) => !/^\s+at .*node:internal/.test(line) && line.trim() !== '')
  return `\n  FAILED ${data.name} (${shownPath(data.file)}:${data.line ?? 0})\n${indent(lines.join('\n'))}\n\n`
}

/** Adds up one run. Suites are not tests; a test marked todo counts as skipped, whatever its outcome. */
class Tally {
  #passed = 0
  #failed = 0
  readonly #skipped: string[] = []
  #file: string | undefined
  #fileTests = 0
  #fileFailed = 0
  #fileMs = 0
  #output = ''

  get failed(): number {
    return this.#failed
  }

  result(): TestResult {
    return { passed: this.#passed, failed: this.#failed, skipped: this.#skipped }
  }

  /** Counts a finished test; returns what to print for it. */
  finish(data: Finished, ok: boolean): string {
    const before = data.file === this.#file ? '' : this.closeFile()
    this.#file = data.file
    if (data.nesting === 0) this.#fileMs += data.details.duration_ms
    if (data.details.type === 'suite' && ok) return before
    const notRun = data.skip ?? data.todo
    if (notRun !== undefined && notRun !== false) {
      const reason = typeof notRun === 'string' ? ` (${notRun})` : ''
      this.#skipped.push(`${shownPath(data.file)}: ${data.name}${reason}`)
      return `${before}  skipped: ${data.name}${reason}\n`
    }
    // A suite that failed only because of its tests adds nothing: they are counted already.
    if (data.details.type === 'suite' && errorOf(data)?.failureType === 'subtestsFailed') return before
    this.#fileTests += 1
    if (ok) {
      this.#passed += 1
      return before
    }
    this.#failed += 1
    this.#fileFailed += 1
    return before + describeFailure(data)
  }

  /** Keeps the last of what test processes print; shown only when a file has a failure. */
  output(text: string): void {
    this.#output = (this.#output + text).slice(-maxOutputChars)
  }

  closeFile(): string {
    if (this.#fileTests === 0) return ''
    const verdict = this.#fileFailed > 0 ? `${this.#fileFailed} FAILED of ` : ''
    const output = this.#fileFailed > 0 && this.#output !== '' ? `  output:\n${indent(this.#output)}\n` : ''
    const unit = this.#fileTests === 1 ? 'test' : 'tests'
    const line = `${shownPath(this.#file)}: ${verdict}${this.#fileTests} ${unit}, ${this.#fileMs.toFixed(0)} ms\n`
    this.#fileTests = this.#fileFailed = this.#fileMs = 0
    this.#output = ''
    return output + line
  }
}

export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const tally = new Tally()
  for await (const event of events) {
    if (event.type === 'test:pass') yield tally.finish(event.data, true)
    else if (event.type === 'test:fail') yield tally.finish(event.data, false)
    else if (event.type === 'test:stdout' || event.type === 'test:stderr') tally.output(event.data.message)
  }
  yield tally.closeFile()
  const result = tally.result()
  const file = process.env.TEST_RESULT_FILE
  if (file) {
    writeFileSync(file, JSON.stringify(result))
    return
  }
  const skipped = result.skipped.length > 0 ? `, ${result.skipped.length} skipped` : ''
  yield `\n${result.passed} passed, ${result.failed} failed${skipped}\n`
}
