// config/parlance.schema.json: what editors need to check and complete a config.
import type { JsonSchema } from '../option.ts';
import { serverOptions } from '../server-config.ts';
import type { Documented } from './documented.ts';

interface Mapping extends JsonSchema {
  properties: Record<string, JsonSchema>;
}

/** The JSON Schema of the config file, with the options of these modules. Names of plugins are let through. */
export function renderSchema(modules: ReadonlyMap<string, Documented>): string {
  const schema = serverOptions.jsonSchema() as Mapping;
  const host = schema.properties['hosts']!['additionalProperties'] as Mapping;
  const reference = (doc: unknown): JsonSchema => ({ $ref: '#/$defs/modules', description: doc });
  schema.properties['modules'] = reference(schema.properties['modules']!['description']);
  host.properties['modules'] = reference(host.properties['modules']!['description']);
  const properties = Object.fromEntries([...modules.values()].map((module) => [module.name, describeModule(module)]));
  const whole = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration of Parlance',
    ...schema,
    $defs: { modules: { type: 'object', properties, additionalProperties: true } },
  };
  return `${JSON.stringify(whole, null, 1)}\n`;
}

/** Nothing is required here: what all hosts have and what one host adds are put together before they are checked. */
function describeModule({ doc, config }: Documented): JsonSchema {
  const { required: _, default: __, ...section } = config.jsonSchema();
  return { description: doc, anyOf: [section, { type: 'boolean' }, { type: 'null' }] };
}
