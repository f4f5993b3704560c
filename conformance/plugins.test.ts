import { describe } from 'node:test'
import type { ExtensionPoint, PluginDefinition } from '#contracts/plugin.ts'
import { plugins } from '#plugins/index.ts'
import { filterSuite } from './filter.ts'
import { pickerSuite } from './picker.ts'
import { producerSuite } from './producer.ts'
import { profileHandlerSuite } from './profile-handler.ts'
import { scorerSuite } from './scorer.ts'

const suites: Record<ExtensionPoint, (plugin: PluginDefinition) => void> = {
  producer: producerSuite,
  filter: filterSuite,
  scorer: scorerSuite,
  picker: pickerSuite,
  'profile-handler': profileHandlerSuite,
}

for (const plugin of plugins) describe(`the ${plugin.point} ${plugin.type}`, () => suites[plugin.point](plugin))
