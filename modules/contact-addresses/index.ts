// XEP-0157: whom to write to about this server, as a form in service discovery.
import { defineModule, option, writeForm } from '#core';

const FORM_TYPE = 'http://jabber.org/network/serverinfo';

/** XEP-0157 wants valid URIs: an address without its scheme is the usual mistake. */
const addresses = (example: string, doc: string) =>
  option.list(
    option.checked(checkUri, { doc: 'A URI.', expected: 'a URI such as mailto:abuse@example.org or xmpp:abuse@example.org' }),
    {
      default: [],
      max: 20,
      unique: true,
      example: [example],
      doc,
    },
  );

export default defineModule({
  name: 'contact-addresses',
  doc: 'Says whom to write to about the server.',
  xeps: [{ xep: 157, version: '1.1.1' }],
  config: option.object({
    abuse: addresses('mailto:abuse@example.org', 'Where to report spam and abuse. A public server should have one.'),
    admin: addresses('xmpp:admin@example.org', 'Where to reach those who run the server.'),
    feedback: addresses('https://example.org/feedback', 'Where to say what one thinks of the service.'),
    sales: addresses('xmpp:sales@example.org', 'For questions of business.'),
    security: addresses('mailto:security@example.org', 'Where to report vulnerabilities.'),
    status: addresses('https://status.example.org', 'Where to see whether the service is working.'),
    support: addresses('xmpp:support@example.org', 'Where to get help.'),
  }),

  setup({ config, disco }) {
    const kinds = Object.entries(config).filter(([, values]) => values.length > 0);
    const fields = kinds.map(([kind, values]) => ({ name: `${kind}-addresses`, type: 'list-multi' as const, values }));
    if (fields.length > 0) disco.extend({ forms: () => [writeForm('result', FORM_TYPE, fields)] });
  },
});

function checkUri(text: string): string {
  if (!/^[a-z][a-z0-9+.-]*:[^\s<>"{}|\\^`]+$/i.test(text)) throw new Error('not a URI');
  return text;
}
