import { type FSWatcher, readdirSync, statSync, watch } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import type { Clock, Timer } from '#core/clock.ts'

/** What watching needs from outside; the file system unless given. */
export interface WatchPorts {
  readonly clock: Clock
  /** A text that changes when a file, or anything directly in a directory, changes. Never throws. */
  readonly fingerprint?: (path: string) => string
  /** Calls `onEvent` when something may have changed in a directory. Throws when it cannot be watched. */
  readonly watchDirectory?: (directory: string, onEvent: () => void) => { close(): void }
}

/** Changes within this time count as one: editors and `kubectl` write in several steps. */
const debounceMs = 100

/** Pause between two looks at everything: finds what no event told of (network file systems, links to elsewhere). */
const pollMs = 2000

/** More directories get no events of their own and are found by the poll. */
const maxDirectories = 64

/**
 * Tells when one of a set of files or directories has changed. Events of the containing directories only hasten the look
 * that decides: files are compared by device, inode, size and times, links followed. So a file replaced by renaming, or
 * a whole Kubernetes volume swapped by its `..data` link, is one change, and a mere read is none.
 */
export class FileWatch {
  readonly #ports: Required<WatchPorts>
  readonly #onChange: () => void
  #prints = new Map<string, string>()
  readonly #directories = new Map<string, { close(): void } | undefined>()
  #debounce: Timer | undefined
  #poll: Timer | undefined
  #isClosed = false

  /** `onChange` is called after every change, at most once per 100 ms. */
  constructor(ports: WatchPorts, onChange: () => void) {
    this.#ports = { fingerprint, watchDirectory, ...ports }
    this.#onChange = onChange
  }

  /**
   * Watches these paths and no others from now on. A path that is watched already keeps the state it was last seen in,
   * so that nothing that happens between two calls is missed.
   */
  watch(paths: readonly string[]): void {
    if (this.#isClosed) return
    const absolute = new Set(paths.map((path) => resolve(path)))
    const prints = new Map<string, string>()
    for (const path of absolute) prints.set(path, this.#prints.get(path) ?? this.#ports.fingerprint(path))
    this.#prints = prints
    this.#watchDirectories(new Set([...absolute].flatMap((path) => [path, dirname(path)])))
    this.#poll ??= this.#ports.clock.after(pollMs, () => this.#onPoll())
  }

  /** Stops watching. No call of `onChange` follows. */
  close(): void {
    this.#isClosed = true
    this.#debounce?.cancel()
    this.#poll?.cancel()
    for (const watcher of this.#directories.values()) watcher?.close()
    this.#directories.clear()
  }

  #watchDirectories(wanted: ReadonlySet<string>): void {
    for (const [directory, watcher] of this.#directories) {
      if (wanted.has(directory)) continue
      watcher?.close()
      this.#directories.delete(directory)
    }
    for (const directory of wanted) {
      if (this.#directories.has(directory) || this.#directories.size >= maxDirectories) continue
      try {
        this.#directories.set(
          directory,
          this.#ports.watchDirectory(directory, () => this.#onEvent()),
        )
      } catch {
        // Not a directory, not there, or no watch left: the poll sees to it.
      }
    }
  }

  #onEvent(): void {
    if (this.#isClosed) return
    this.#debounce ??= this.#ports.clock.after(debounceMs, () => {
      this.#debounce = undefined
      this.#look()
    })
  }

  #onPoll(): void {
    this.#poll = this.#ports.clock.after(pollMs, () => this.#onPoll())
    if (this.#debounce === undefined) this.#look()
  }

  #look(): void {
    let isChanged = false
    for (const [path, before] of this.#prints) {
      const now = this.#ports.fingerprint(path)
      if (now !== before) isChanged = true
      this.#prints.set(path, now)
    }
    if (isChanged) this.#onChange()
  }
}

function statPrint(path: string): string {
  const stats = statSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return 'none'
  // The times of a directory change with files in it that are none of ours.
  if (stats.isDirectory()) return 'directory'
  return `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}:${stats.ctimeMs}`
}

function fingerprint(path: string): string {
  try {
    const own = statPrint(path)
    if (own !== 'directory') return own
    const names = readdirSync(path).filter((name) => /\.(?:ya?ml|json)$/i.test(name) && !name.startsWith('.'))
    return names
      .toSorted()
      .map((name) => `${name}=${statPrint(join(path, name))}`)
      .join('\n')
  } catch (error) {
    return `unreadable: ${String((error as { code?: unknown }).code)}`
  }
}

function watchDirectory(directory: string, onEvent: () => void): { close(): void } {
  const watcher: FSWatcher = watch(directory, { persistent: false }, onEvent)
  // Its directory is gone, or the system has no more watches: the poll goes on.
  watcher.on('error', () => watcher.close())
  return watcher
}
