// A third party's module: it knows nothing of this project's files, only the package `parlance`.
import { defineModule, option, type Query, StanzaError, xml } from 'parlance';

const NS = 'urn:example:greeter';

export default defineModule({
  name: 'greeter',
  doc: 'Greets whoever asks.',
  features: [NS],
  config: option.object({
    greeting: option.string({ default: 'Hello', maxLength: 20, doc: 'What it says.' }),
  }),

  setup({ config, iq }) {
    iq.get('server', NS, 'greeting', greet);

    function greet({ payload }: Query) {
      if (payload.attrs['language'] === 'klingon') throw new StanzaError('not-acceptable');
      return xml('greeting', NS, config.greeting);
    }
  },
});
