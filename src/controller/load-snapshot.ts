import { type Documents, loadDocuments } from '#config/load-documents.ts'
import type { ConfigProblem } from '#config/problem.ts'
import { type FileText, readTextFile } from '#config/read-source.ts'
import type { ProfilePlan, Snapshot } from '#config/snapshot.ts'
import type { Env } from '#config/substitute-env.ts'
import type { PluginDefinition } from '#contracts/plugin.ts'
import { type DnsName, dnsNames } from './dns-names.ts'
import { translate } from './translate.ts'

/** What loading needs from outside. */
export interface LoadPorts {
  /** What `${NAME}` stands for. */
  readonly env: Env
  /** Every plug-in there is. */
  readonly plugins: readonly PluginDefinition[]
  /** The profile `default` unless the configuration has its own. */
  readonly defaultProfile: ProfilePlan
  /** Profiles that may be named without being written. */
  readonly builtInProfiles?: Readonly<Record<string, ProfilePlan>>
  /** Addresses of a DNS name; rejects when they cannot be had. Leave it out to look nothing up. */
  readonly lookup?: (name: string) => Promise<readonly string[]>
  /** Reads a certificate; the file system unless given. */
  readonly readFile?: (path: string) => FileText
  /** Tells whether certificates are in date; leave it out to take them as they are. */
  readonly wallMs?: () => number
}

/** What a configuration depends on outside of itself. */
export interface LoadSources {
  /** Every file read, certificates included: what to watch. */
  readonly files: readonly string[]
  /** Names to look up again and again. */
  readonly dnsNames: readonly DnsName[]
}

/** A snapshot with what is worth a second look, or everything that is wrong. Lists are in order of file and line. */
export type LoadResult = LoadSources &
  (
    | { readonly ok: true; readonly snapshot: Snapshot; readonly warnings: readonly ConfigProblem[] }
    | { readonly ok: false; readonly problems: readonly ConfigProblem[]; readonly warnings: readonly ConfigProblem[] }
  )

/**
 * Loads a configuration file or directory. The snapshot has version 0 and no slots: both are given by the datastore when
 * it is put in force. A DNS name that cannot be looked up has no endpoints yet; that is no problem of the configuration.
 */
export async function loadSnapshot(source: string, ports: LoadPorts): Promise<LoadResult> {
  const loaded = loadDocuments(source, ports.env)
  const names = dnsNames(loaded.documents)
  const { lookup } = ports
  const found = await Promise.all(
    names.map(async ({ name }) => [name, lookup === undefined ? [] : await lookup(name).catch(() => [])] as const),
  )
  const addresses = new Map(found.map(([name, list]) => [name, list.toSorted()]))
  return snapshotOf(loaded, ports, (name) => addresses.get(name) ?? [])
}

/** The same with addresses that are known already. */
export function snapshotOf(
  loaded: Documents,
  ports: LoadPorts,
  addresses: (name: string) => readonly string[],
): LoadResult {
  const { plugins, defaultProfile, builtInProfiles, readFile = readTextFile } = ports
  const files = new Set(loaded.files)
  const result = translate(loaded, {
    plugins,
    defaultProfile,
    builtInProfiles,
    env: ports.env,
    addresses,
    nowMs: ports.wallMs?.(),
    readFile(path) {
      files.add(path)
      return readFile(path)
    },
  })
  return { ...result, files: [...files], dnsNames: dnsNames(loaded.documents) }
}
