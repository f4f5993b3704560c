import { readStrategies } from '#config/routing-strategy.ts'
import type { ChoicePlan } from '#config/snapshot.ts'
import type { ProfileChoice } from '#contracts/schedule.ts'
import { type HeaderList, headerOf } from '#core/header-list.ts'
import { type Refusal, refuse } from '#core/refusal.ts'

/** What the headers of a request choose: a profile, nothing, or what they must not. */
export type ChooseProfile = (headers: HeaderList) => ProfileChoice | Refusal | undefined

const profileHeader = 'x-infer-profile'
const strategyHeader = 'routing-strategy'
/** AIBrix's name for it, where it gives way to `routing-strategy` (aibrix-and-others.md A2.1, A6.2). */
const aibrixProfileHeader = 'config-profile'

/** Lists of strategies whose reading is remembered: few are in use, but a client may send whatever it likes. */
const maxRemembered = 256

/**
 * Compiles what requests may choose. `x-infer-profile` goes before `routing-strategy`, and that before `config-profile`. A header that the configuration
 * does not allow means nothing, as with every control header of the gateway: a client that is none of ours must not get
 * a 400 for a header that its own infrastructure has put there. One that is allowed and asks for something else than it
 * may is refused: the client means us, and would otherwise believe that it got what it asked for.
 */
export function compileChoice({ profiles, strategies, strategyProfile }: ChoicePlan): ChooseProfile {
  const byName = new Map<string, ProfileChoice>(profiles.map((name) => [name, { name }]))
  const byText = new Map<string, ProfileChoice | Refusal>()
  const chooseStrategy = (text: string): ProfileChoice | Refusal => {
    const known = byText.get(text)
    if (known !== undefined) return known
    const choice = strategyChoice(text, strategies, strategyProfile)
    if (byText.size >= maxRemembered) byText.clear()
    byText.set(text, choice)
    return choice
  }
  const chooseName = (headers: HeaderList, header: string): ProfileChoice | Refusal | undefined => {
    const name = profiles.length === 0 ? '' : (headerOf(headers, header) ?? '')
    return name === '' ? undefined : (byName.get(name) ?? noProfile(header, name, profiles))
  }
  return (headers) => {
    const named = chooseName(headers, profileHeader)
    if (named !== undefined) return named
    const text = strategies.length === 0 ? '' : (headerOf(headers, strategyHeader) ?? '')
    return text === '' ? chooseName(headers, aibrixProfileHeader) : chooseStrategy(text)
  }
}

function strategyChoice(
  text: string,
  allowed: ChoicePlan['strategies'],
  strategyProfile: string,
): ProfileChoice | Refusal {
  const list = readStrategies(text)
  if ('fails' in list) return noStrategy(list.fails, allowed)
  const other = list.strategies.find(({ name }) => !allowed.includes(name))
  if (other !== undefined) return noStrategy(`names '${other.name}', which may not be chosen here`, allowed)
  const weightOf = new Map(list.strategies.map(({ name, weight }) => [name, weight]))
  return { name: strategyProfile, weights: allowed.map((name) => weightOf.get(name) ?? 0) }
}

const shownCharacters = 63

function noProfile(header: string, name: string, profiles: readonly string[]): Refusal {
  const message = `No profile '${name.slice(0, shownCharacters)}' can be chosen. Those that can: ${profiles.join(', ')}.`
  return refuse('unknown-profile', message, { param: header })
}

function noStrategy(fails: string, allowed: ChoicePlan['strategies']): Refusal {
  const message = `The header ${strategyHeader} ${fails}. Those that can be chosen: ${allowed.join(', ')}.`
  return refuse('unknown-profile', message, { param: strategyHeader })
}
