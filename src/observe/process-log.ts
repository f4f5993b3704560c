import { type Logger, pino } from 'pino'
import { prettyLine } from './pretty-line.ts'
import { redactSecrets } from './redact-secrets.ts'

/** Level of a log line. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** The log of the process: what happens to the gateway itself. Requests are in the access log. */
export interface ProcessLog {
  /** `fields` are data for machines, `message` is a sentence for people. Secrets are removed by their key. */
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
  /** A log whose lines all carry `fields`. */
  child(fields: object): ProcessLog
}

/** What `createProcessLog` needs. */
export interface ProcessLogPlan {
  readonly level: LogLevel
  /** Whether a person reads along: short lines instead of JSON. */
  readonly pretty: boolean
  /** Where lines go; standard error, written synchronously, when undefined. */
  readonly destination?: LineDestination
}

/** Takes lines, each with its line end. */
export interface LineDestination {
  write(line: string): void
}

/** Creates the process log: JSON lines on standard error, or short lines for a terminal. */
export function createProcessLog(plan: ProcessLogPlan): ProcessLog {
  // Synchronous, because the last lines before a crash are the ones that matter, and there are few of them.
  const destination = plan.destination ?? pino.destination({ fd: 2, sync: true })
  const options = {
    level: plan.level,
    base: {},
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  const stream = plan.pretty ? { write: (line: string) => destination.write(prettyLine(line)) } : destination
  return withoutSecrets(pino(options, stream))
}

/** Redacts by hand, because pino's own redaction needs the full path of each secret. */
function withoutSecrets(logger: Logger): ProcessLog {
  const writer = (level: LogLevel) => (fields: object, message: string) => {
    if (logger.isLevelEnabled(level)) logger[level](redactSecrets(fields), message)
  }
  return {
    debug: writer('debug'),
    info: writer('info'),
    warn: writer('warn'),
    error: writer('error'),
    child: (fields) => withoutSecrets(logger.child(redactSecrets(fields))),
  }
}
