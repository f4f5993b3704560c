import { type Document, isMap, isPair, isScalar, type Node, type Pair, type Scalar, visit } from 'yaml'
import { isSecretKey } from '#observe/redact-secrets.ts'

type Range = readonly [start: number, end: number]

function keyOf(node: unknown): string {
  return isPair(node) && isScalar(node.key) ? String(node.key.value) : ''
}

/** Keys of mappings whose values are secrets, or may be. */
function isSecretScope(key: string, isSecret: boolean): boolean {
  return key === 'headers' || (isSecret && (key === 'data' || key === 'stringData'))
}

function secretRanges(tree: Document): Range[] {
  const isSecret = isMap(tree.contents) && tree.contents.get('kind') === 'Secret'
  const ranges: Range[] = []
  visit(tree, {
    Scalar(key, node: Scalar, ancestors) {
      const { range } = node as Node
      if (key === 'key' || range === null || range === undefined) return
      const pair = ancestors.at(-1)
      const scope = keyOf(ancestors.at(-3))
      if (isSecretKey(keyOf(pair)) || (isPair(pair as Pair) && isSecretScope(scope, isSecret)))
        ranges.push([range[0], range[1]])
    },
  })
  return ranges
}

/** Patterns that catch secrets also where the syntax is too broken for a tree: after a telling key, and inside of URLs. */
const tellingKey =
  /((?:api[-_]?key|authorization|password|secret|token|cookie|private[-_]?key)["']?\s*[:=]\s*)(\S.*)$/gim
const urlUser = /(:\/\/)([^/@\s]+)(?=@)/g
const pemBlock = /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END|$)/g

function blank(text: string): string {
  return text.replace(/[^\s]/g, '*')
}

function blankVariable(text: string): string {
  return /^["']?\$\{\w+(?::-)?\}["']?,?\s*\}*$/.test(text) ? text : blank(text)
}

/**
 * The lines of a file as they may be shown: every character of a secret is a star, so that columns stay. A Secret whose
 * syntax is broken is blanked whole. References such as `${OPENAI_API_KEY}` are no secrets and stay.
 */
export function maskSecrets(text: string, trees: readonly Document[]): string[] {
  const isBroken = trees.some((tree) => tree.errors.length > 0)
  if (isBroken && /^["'\s{]*kind["']?\s*:\s*["']?Secret\b/m.test(text)) return blank(text).split('\n')
  let masked = text
  for (const [start, end] of trees.flatMap(secretRanges)) {
    masked = masked.slice(0, start) + blankVariable(masked.slice(start, end)) + masked.slice(end)
  }
  if (isBroken) masked = masked.replace(tellingKey, (_, key: string, value: string) => key + blankVariable(value))
  masked = masked.replace(urlUser, (_, lead: string, user: string) => lead + blank(user)).replace(pemBlock, blank)
  return masked.split('\n')
}
