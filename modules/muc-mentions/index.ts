// XEP-0513 and XEP-0452: messages in rooms that are a word to somebody, whom the room lets mention whom, and what those get who are not there.
import { defineModule, option, Priority } from '#core';
import muc from '../muc/index.ts';
import { forward, NS_MMN } from './forwarding.ts';
import { CHANNEL, NS_MENTIONS } from './mentioned.ts';
import {
  changeNotice,
  describePermissions,
  FIELDS,
  isForwarding,
  restrain,
  showPermissions,
  takePermissions,
} from './permissions.ts';

export { isMentioned, isNamed, type Mentionable } from './mentioned.ts';

export default defineModule({
  name: 'muc-mentions',
  doc: 'Mentions in rooms: who may mention whom, and what is forwarded to those who are mentioned and are not there.',
  xeps: [
    { xep: 452, version: '0.2.2' },
    { xep: 513, version: '0.1.0' },
  ],
  needs: [muc],
  config: option.object({}),

  setup({ defer, on, router, use }) {
    const rooms = use(muc);

    for (const field of FIELDS) defer(rooms.field(field));
    defer(
      rooms.inform({
        room: (room) => [NS_MENTIONS, CHANNEL, ...(isForwarding(room) ? [NS_MMN] : [])],
        fields: describePermissions,
      }),
    );
    defer(rooms.atRoom('get', NS_MENTIONS, 'query', (room) => showPermissions(room)));
    defer(
      rooms.atRoom('set', NS_MENTIONS, 'query', (room, { from, payload }) =>
        rooms.configure(room, () => takePermissions(room, from, payload)),
      ),
    );
    on(
      rooms.hooks.saying,
      (saying) => {
        saying.stanza = restrain(saying.room, saying.stanza, saying.occupant.real);
      },
      Priority.amend,
    );
    on(rooms.signals.said, (said) => forward(router, said));
    on(rooms.signals.configured, ({ room, before }) => {
      const notice = changeNotice(room, before);
      if (notice) room.notify(notice);
    });
  },
});
