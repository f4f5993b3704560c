import type { ConfigDocument } from '#config/config-document.ts'
import { shortFormSchema } from '#config/schema/short-form-schema.ts'

/** A DNS name that stands for endpoints. */
export interface DnsName {
  readonly name: string
  /** Pause between two look-ups: the shortest that any endpoint asks for. */
  readonly intervalMs: number
}

/** Most names looked up: what is beyond has no endpoints. */
export const maxDnsNames = 256

/** The DNS names of all short-form documents that are valid, each once. */
export function dnsNames(documents: readonly ConfigDocument[]): DnsName[] {
  const intervals = new Map<string, number>()
  for (const document of documents) {
    if (document.manifest !== undefined) continue
    const { data } = shortFormSchema.safeParse(document.value)
    for (const { endpoints = [] } of Object.values(data?.models ?? {})) {
      for (const endpoint of endpoints) {
        const dns = 'dns' in endpoint ? endpoint.dns : undefined
        if (dns === undefined) continue
        intervals.set(dns.name, Math.min(dns.interval, intervals.get(dns.name) ?? dns.interval))
      }
    }
  }
  return [...intervals].slice(0, maxDnsNames).map(([name, intervalMs]) => ({ name, intervalMs }))
}
