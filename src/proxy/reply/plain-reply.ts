import { noUsage } from '#core/usage.ts'
import type { ReplyFilter, ReplySink } from './reply-filter.ts'

/** Passes everything on: audio, images, text. */
export class PlainReply implements ReplyFilter {
  readonly usage = noUsage

  push(data: Buffer, start: number, end: number, sink: ReplySink): void {
    sink.write(data, start, end)
  }

  finish(): void {}

  lengthChange(): number {
    return 0
  }
}
