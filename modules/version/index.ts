// XEP-0092, and the same as a form in service discovery (XEP-0232): which software this is.
import { readFileSync } from 'node:fs';
import { type as osType, release } from 'node:os';
import { defineModule, type FormField, option, writeForm, xml } from '#core';

const NS = 'jabber:iq:version';
const FORM_TYPE = 'urn:xmpp:dataforms:softwareinfo';

export default defineModule({
  name: 'version',
  doc: 'Says which software the server is.',
  xeps: [
    { xep: 92, version: '1.1' },
    { xep: 232, version: '0.3' },
  ],
  features: [NS],
  config: option.object({
    name: option.string({ default: 'Parlance', doc: 'The name of the software.', minLength: 1, maxLength: 256 }),
    showVersion: option.boolean({ default: true, doc: 'Whether the version is said too.' }),
    showOs: option.boolean({ default: false, doc: 'Whether the operating system is said, which may help an attacker.' }),
  }),

  setup({ config, disco, iq }) {
    // XEP-0092 section 2: name and version are required in a result.
    const version = config.showVersion ? readVersion() : 'hidden';
    const os = config.showOs ? { name: osType(), version: release() } : undefined;
    const fields: FormField[] = [{ name: 'software', values: [config.name] }];
    if (config.showVersion) fields.push({ name: 'software_version', values: [version] });
    if (os) fields.push({ name: 'os', values: [os.name] }, { name: 'os_version', values: [os.version] });

    iq.get('server', NS, 'query', () =>
      xml(
        'query',
        NS,
        xml('name', {}, config.name),
        xml('version', {}, version),
        os && xml('os', {}, `${os.name} ${os.version}`),
      ),
    );
    disco.extend({ forms: () => [writeForm('result', FORM_TYPE, fields)] });
  },
});

/** The version of the package that is running. */
function readVersion(): string {
  const file: unknown = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
  const isPackage = typeof file === 'object' && file !== null && 'version' in file;
  return isPackage ? String(file.version) : 'unknown';
}
