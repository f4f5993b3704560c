import assert from 'node:assert/strict'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { systemClock } from '#core/clock.ts'
import { manualClock } from '#core/manual-clock.ts'
import { FileWatch } from './watch-file.ts'

function temporary(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'watch-'))
  t.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

const noEvents = (): { close(): void } => ({ close() {} })

/** A watch that finds changes by its poll only, on the real file system. */
function polled(t: TestContext, paths: readonly string[]) {
  const clock = manualClock()
  let changes = 0
  const watch = new FileWatch({ clock, watchDirectory: noEvents }, () => changes++)
  t.after(() => watch.close())
  watch.watch(paths)
  return {
    watch,
    /** Changes told of since the last call, after a poll. */
    changesAfterPoll(): number {
      clock.advance(2000)
      const count = changes
      changes = 0
      return count
    },
  }
}

type Step = readonly [
  title: string,
  prepare: (directory: string) => void,
  change: (directory: string) => void,
  changes: number,
]

const write = (name: string, text: string) => (directory: string) => writeFileSync(join(directory, name), text)

/** A volume as the kubelet writes it: files are links into a directory behind one link, which is swapped. */
function mountVolume(directory: string, version: string, text: string): void {
  mkdirSync(join(directory, version))
  writeFileSync(join(directory, version, 'a.yaml'), text)
  symlinkSync(version, join(directory, '..data_tmp'))
  renameSync(join(directory, '..data_tmp'), join(directory, '..data'))
}

const steps: readonly Step[] = [
  ['nothing happens', write('a.yaml', '1'), () => {}, 0],
  ['the file is read', write('a.yaml', '1'), (d) => void readFileSync(join(d, 'a.yaml')), 0],
  ['the file is written', write('a.yaml', '1'), write('a.yaml', '22'), 1],
  [
    'the file is written with text of the same length and the same time',
    (d) => {
      writeFileSync(join(d, 'a.yaml'), '1')
      utimesSync(join(d, 'a.yaml'), 1000, 1000)
    },
    (d) => {
      writeFileSync(join(d, 'b.tmp'), '2')
      utimesSync(join(d, 'b.tmp'), 1000, 1000)
      renameSync(join(d, 'b.tmp'), join(d, 'a.yaml'))
    },
    1,
  ],
  ['the file goes', write('a.yaml', '1'), (d) => unlinkSync(join(d, 'a.yaml')), 1],
  ['the file comes', () => {}, write('a.yaml', '1'), 1],
  ['another file comes', write('a.yaml', '1'), write('b.txt', '1'), 0],
  [
    'a volume is swapped',
    (d) => {
      mountVolume(d, '..1', 'x: 1')
      symlinkSync(join('..data', 'a.yaml'), join(d, 'a.yaml'))
    },
    (d) => mountVolume(d, '..2', 'x: 1'),
    1,
  ],
]

for (const [title, prepare, change, changes] of steps) {
  for (const kind of ['file', 'directory'] as const) {
    test(`a watched ${kind} has ${changes} changes when ${title}`, (t) => {
      const directory = temporary(t)
      prepare(directory)
      const { changesAfterPoll } = polled(t, [kind === 'file' ? join(directory, 'a.yaml') : directory])
      assert.equal(changesAfterPoll(), 0)
      change(directory)
      assert.equal(changesAfterPoll(), changes)
      assert.equal(changesAfterPoll(), 0)
    })
  }
}

test('of several paths each counts, and those watched no more do not', (t) => {
  const directory = temporary(t)
  const [config = '', cert = ''] = ['a.yaml', 'cert.pem'].map((name) => join(directory, name))
  writeFileSync(config, '1')
  writeFileSync(cert, '1')
  const { watch, changesAfterPoll } = polled(t, [config, cert])
  writeFileSync(cert, '22')
  assert.equal(changesAfterPoll(), 1)
  watch.watch([config])
  writeFileSync(cert, '333')
  assert.equal(changesAfterPoll(), 0)
})

test('what changes between two calls of watch is not missed', (t) => {
  const directory = temporary(t)
  const file = join(directory, 'a.yaml')
  writeFileSync(file, '1')
  const { watch, changesAfterPoll } = polled(t, [file])
  writeFileSync(file, '22')
  watch.watch([file])
  assert.equal(changesAfterPoll(), 1)
})

test('events are put together, and only hasten the look', () => {
  const clock = manualClock()
  let print = 'a'
  let changes = 0
  let event = (): void => {}
  const watch = new FileWatch(
    {
      clock,
      fingerprint: () => print,
      watchDirectory: (_, onEvent) => {
        event = onEvent
        return { close() {} }
      },
    },
    () => changes++,
  )
  watch.watch(['/etc/gw.yaml'])
  event()
  clock.advance(100)
  assert.equal(changes, 0, 'an event without a change is none')
  print = 'b'
  event()
  event()
  clock.advance(99)
  event()
  assert.equal(changes, 0)
  clock.advance(1)
  assert.equal(changes, 1)
  watch.close()
  print = 'c'
  event()
  clock.advance(10_000)
  assert.equal(changes, 1, 'a closed watch is silent')
  assert.equal(clock.pending(), 0)
})

test('a directory that cannot be watched is polled', () => {
  const clock = manualClock()
  let print = 'a'
  let changes = 0
  const watch = new FileWatch(
    {
      clock,
      fingerprint: () => print,
      watchDirectory: () => {
        throw new Error('ENOSPC')
      },
    },
    () => changes++,
  )
  watch.watch(['/etc/gw.yaml'])
  print = 'b'
  clock.advance(2000)
  assert.equal(changes, 1)
  watch.close()
})

test('a real event tells of a replaced file well before the poll', async (t) => {
  const directory = temporary(t)
  const file = join(directory, 'a.yaml')
  writeFileSync(file, '1')
  const clock = systemClock()
  const changed = Promise.withResolvers<void>()
  const watch = new FileWatch({ clock }, () => changed.resolve())
  t.after(() => watch.close())
  watch.watch([file])
  const startMs = clock.nowMs()
  writeFileSync(join(directory, 'a.tmp'), '22')
  renameSync(join(directory, 'a.tmp'), file)
  // Timers of the clock let the process end, so something must keep it waiting.
  const alive = setInterval(() => {}, 50)
  await changed.promise
  clearInterval(alive)
  const tookMs = clock.nowMs() - startMs
  assert.ok(tookMs >= 95 && tookMs < 2000, `${tookMs} ms`)
})
