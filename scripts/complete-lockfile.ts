/**
 * Adds to package-lock.json the platform packages (optional dependencies for other systems) that npm left out because
 * the registry at hand did not serve them. `npm ci` refuses a lockfile without them, on every system, although it would
 * never install them here. Run after `npm install` (`npm run lockfile`); changes nothing when nothing is missing.
 */
import { readFileSync, writeFileSync } from 'node:fs'

type LockedPackage = Readonly<{
  version?: string
  dev?: boolean
  optional?: boolean
  os?: readonly string[]
  cpu?: readonly string[]
  libc?: readonly string[]
  optionalDependencies?: Readonly<Record<string, string>>
}>
type Lockfile = { packages: Record<string, LockedPackage> }

const systems = ['android', 'darwin', 'freebsd', 'linux', 'openharmony', 'win32']
const processors = ['arm', 'arm64', 'ia32', 'ppc64', 'riscv64', 's390x', 'x64']
const libcs: Readonly<Record<string, string>> = { musl: 'musl', musleabihf: 'musl', gnu: 'glibc', gnueabihf: 'glibc' }

/** The platform that a package is for, read off its name: `cli-linux-arm64-musl` is linux, arm64, musl. */
export function platformFromName(name: string): Pick<LockedPackage, 'os' | 'cpu' | 'libc'> | undefined {
  const words = name.split(/[-/]/)
  const os = systems.find((system) => words.includes(system))
  const cpu = processors.find((processor) => words.includes(processor))
  if (os === undefined || cpu === undefined) return undefined
  const libc = words.map((word) => libcs[word]).find((found) => found !== undefined)
  return { os: [os], cpu: [cpu], ...(os === 'linux' && libc !== undefined ? { libc: [libc] } : {}) }
}

/** The entries a lockfile lacks, by path. Throws for a missing package whose name does not say its platform. */
export function missingEntries(lock: Lockfile): Map<string, LockedPackage> {
  const missing = new Map<string, LockedPackage>()
  for (const [path, owner] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(owner.optionalDependencies ?? {})) {
      if (lock.packages[`node_modules/${name}`] ?? lock.packages[`${path}/node_modules/${name}`]) continue
      const platform = platformFromName(name)
      if (!platform) throw new Error(`package-lock.json lacks ${name}, and its name does not say its platform`)
      const dev = owner.dev === true ? { dev: true } : {}
      missing.set(`node_modules/${name}`, { version, ...platform, ...dev, optional: true })
    }
  }
  return missing
}

function main(file: string): void {
  const lock = JSON.parse(readFileSync(file, 'utf8')) as Lockfile
  const missing = missingEntries(lock)
  if (missing.size === 0) {
    console.log(`${file} is complete`)
    return
  }
  const all = [...Object.entries(lock.packages), ...missing].toSorted(([a], [b]) => (a < b ? -1 : 1))
  lock.packages = Object.fromEntries(all)
  writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
  console.log(`${file}: added ${[...missing.keys()].join(', ')}`)
}

if (import.meta.main) main('package-lock.json')
