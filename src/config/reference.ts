import { endpointPickerSchema } from './manifests/endpoint-picker-schema.ts'
import { externalModelProviderSchema } from './manifests/external-model-provider-schema.ts'
import { ignoredKinds, laterKinds, readKinds } from './manifests/kinds.ts'
import { modelRouteSchema } from './manifests/model-route-schema.ts'
import { modelServerSchema } from './manifests/model-server-schema.ts'
import { knownProviders } from './providers.ts'
import { gatewayShape } from './schema/gateway-schema.ts'
import { modelSchema } from './schema/model-schema.ts'
import { profileSchema } from './schema/profile-schema.ts'
import { strict } from './schema/scalars.ts'
import { schemaTable } from './schema-table.ts'
import { scrapeDefaults } from './scrape-defaults.ts'

const intro = `# Configuration

\`infer-gateway serve -c FILE_OR_DIR\` reads one file, or every \`*.yaml\`, \`*.yml\` and \`*.json\` directly in a directory, in
the order of their names. \`infer-gateway check FILE_OR_DIR\` validates the same without starting anything. [examples/](../../examples)
has a file for every common case.

A file is a stream of YAML documents (JSON is YAML). A document with \`apiVersion\` and \`kind\` is a [Kubernetes
manifest](#manifests); one without them is the [short form](#short-form). All documents together are one configuration.

* **Strict.** An unknown key is an error with file, line, key and the nearest valid key. All problems are told at once.
* **Environment.** \`\${NAME}\` in a value of the short form, of a Secret or of a resource of \`networking.serving.volcano.sh\` is
  the variable of that name, which must be set; \`\${NAME:-default}\` has a default; \`$\${\` stands for the characters \`\${\`.
  Values are put in after parsing, so they cannot change the structure of the document, and messages never show them.
* **Durations** are numbers with units, \`250ms\`, \`10s\`, \`1m30s\` (ns, us, ms, s, m, h); **sizes** are bytes or \`64KiB\`, \`32MiB\`,
  \`1.5GB\`. \`0\` needs no unit.
* **Reload.** Files, the certificates they name and DNS names are watched. A good change becomes a new snapshot for the
  requests that come after it; a bad one leaves the running snapshot in force and is told in log, metric and status page.
  A changed listener is opened anew and the old one drained; the address and port of \`admin\` are read at start only.
* A file has at most 4 MiB, a directory at most 1000 files; YAML aliases may multiply a document at most 100 times.`

const models = `### models.NAME

NAME is the \`model\` that clients send. A model says where its requests go in exactly one way: \`endpoints\`, \`provider\` or
\`split\`.

* The endpoints of one model share protocol and path, but may run different engines.
* Model names and aliases are unique, and so are adapters. A name that is a model and an adapter is the model.
* \`apiKey\` is sent as \`authorization: Bearer\`, to \`anthropic\` as \`x-api-key\`.`

function engines(): string {
  const rows = Object.entries(scrapeDefaults).map(([name, page]) => {
    const shown =
      page === undefined ? 'none' : `\`${page.path}\`${page.port === undefined ? '' : ` on port ${page.port}`}`
    return `| \`${name}\` | ${shown} |`
  })
  return ['### Engines', '', '| engine | metrics page |', '| --- | --- |', ...rows].join('\n')
}

function providers(): string {
  const rows = Object.entries(knownProviders).map(
    ([name, { dialect, baseUrl }]) => `| \`${name}\` | ${dialect} | ${baseUrl} |`,
  )
  const text = `Requests to a provider pass through in the protocol they came in: nothing is translated. Any other service of the same
protocol is \`provider: openai\` (or \`anthropic\`) with its own \`baseUrl\`. What stands behind the base URL is the request
path without its \`/v1\`.`
  return ['### Providers', '', text, '', '| provider | protocol | base URL |', '| --- | --- | --- |', ...rows].join(
    '\n',
  )
}

const manifests = `## Manifests

Resources mean what they mean in a cluster. \`metadata.namespace\` is \`default\` when absent; references reach the same
namespace only; \`status\` is not read; a key whose value is null counts as absent; \`kind: List\` is taken apart.

* **Precedence.** Of several routes for one model the oldest that has a matching rule wins: \`creationTimestamp\`, then
  \`resourceVersion\` as text, then \`namespace/name\`. Routes without a timestamp, models of the short form among them, come
  after those, in the order of files and documents.
* **Endpoints of a ModelServer** come from the manifests of its namespace: Pods that carry all of \`matchLabels\` (with a
  \`podIP\`, not being deleted, and, where the Pod says so, Running and Ready), and EndpointSlices that belong to it. A slice
  belongs when it carries the labels itself, or when the Service it names in its label \`kubernetes.io/service-name\` asks for
  at least these labels in its selector or carries them. The port is \`workloadPort.port\` in either case.
* **Credentials** of a provider are in a Secret of the same namespace (\`stringData\`, or \`data\` in base64) with the label
  \`networking.serving.volcano.sh/external-model-provider-credential: "true"\`.
* A reference to something that is not there is an error, and so are several kinds of match in one condition, targets whose
  weights add up to 0, targets with two destinations or none, and external targets of a route with adapters.`

const endpointPicker = `The configuration of the Endpoint Picker (\`llm-d.ai/v1alpha1\`, formerly \`inference.networking.x-k8s.io/v1alpha1\`) is a profile here:
the profile \`metadata.name\`, and when it is the only such document, or has no metadata, \`default\`. What it may name is in
[plugins.md](plugins.md); [the guide](../guides/scheduling.md#coming-from-the-endpoint-picker) tells what is refused, and why.`

/** The fields of an EndpointPickerConfig but for its envelope. */
function endpointPickerShape() {
  const { apiVersion: _apiVersion, kind: _kind, metadata: _metadata, ...shape } = endpointPickerSchema.shape
  return strict(shape)
}

function kinds(): string {
  const read = Object.entries(readKinds).map(([kind, version]) => `\`${kind}\` (${version})`)
  const list = (names: Iterable<string>): string => [...names].map((name) => `\`${name}\``).join(', ')
  return `### Kinds

Read: ${read.join(', ')}.

Refused, because they would change what happens and this version does not support them yet: ${list(laterKinds)}.

Passed over with a warning: ${list(ignoredKinds)}. Any other kind is an error.

A \`ConfigMap\` with a text of kind \`EndpointPickerConfig\`, or with Kthena's router configuration under the key
\`routerConfiguration\`, counts as that text. The router configuration is also read as a document of its own: one with
\`scheduler.plugins\` or \`scheduler.pluginConfig\` and nothing else but \`auth\`. [The guide](../guides/scheduling.md#coming-from-kthena)
tells what it becomes.`
}

/** The page docs/reference/config.md, from the schemas. */
export function renderConfigReference(): string {
  const section = (title: string, table: string): string => `### ${title}\n\n${table}`
  const native = [
    ['ModelRoute', modelRouteSchema],
    ['ModelServer', modelServerSchema],
    ['ExternalModelProvider', externalModelProviderSchema],
  ] as const
  const sections = [
    intro,
    '## Short form\n\nSeveral documents are put together. Each setting may stand in one of them only; `models` and `profiles` add up.',
    section('Gateway', schemaTable(strict(gatewayShape))),
    `${models}\n\n${schemaTable(modelSchema)}`,
    engines(),
    providers(),
    `### profiles.NAME\n\nThe plug-ins and their parameters are in [plugins.md](plugins.md). The built-in profile \`default\` serves every model that names none.\n\n${schemaTable(profileSchema)}`,
    manifests,
    ...native.map(([kind, schema]) => section(kind, schemaTable(schema.shape.spec, 'spec'))),
    section('EndpointPickerConfig', `${endpointPicker}\n\n${schemaTable(endpointPickerShape())}`),
    kinds(),
  ]
  return `${sections.join('\n\n')}\n`
}
