// XEP-0199: says that the way from a client to its server, and back, is open.
import { defineModule, option } from '#core';

const NS = 'urn:xmpp:ping';

export default defineModule({
  name: 'ping',
  doc: 'Answers pings.',
  xeps: [{ xep: 199, version: '2.0.1' }],
  features: [NS],
  config: option.object({}),

  setup({ disco, iq }) {
    disco.feature('account', NS);
    iq.get('server', NS, 'ping', pong);
    // Not for the accounts of others: an answer would tell which accounts there are.
    iq.get('self', NS, 'ping', pong);
  },
});

function pong(): void {}
