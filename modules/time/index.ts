// XEP-0202: the time at the server, and its offset from UTC.
import { defineModule, option, xml } from '#core';

const NS = 'urn:xmpp:time';

export default defineModule({
  name: 'time',
  doc: 'Says what time it is at the server.',
  xeps: [{ xep: 202, version: '2.0' }],
  features: [NS],
  config: option.object({}),

  setup({ iq }) {
    iq.get('server', NS, 'time', () => {
      const now = new Date();
      return xml('time', NS, xml('tzo', {}, writeOffset(-now.getTimezoneOffset())), xml('utc', {}, now.toISOString()));
    });
  },
});

/** Minutes east of UTC as XEP-0082 section 3.2 writes them. */
export function writeOffset(minutes: number): string {
  const size = Math.abs(minutes);
  const two = (number: number) => String(number).padStart(2, '0');
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}
