// Announcements as every client can plan them: by commands of the room, or of the host.
import { type FormField, type Jid, type Maybe, StanzaError, writeForm } from '#core';
import type { Answers, Command, Result, Stage } from '../commands/index.ts';
import type { Room } from '../muc/index.ts';
import type { AnnouncementsApi } from './api.ts';
import { NS_ANNOUNCEMENTS } from './namespaces.ts';
import type { Plan, Schedule } from './plan.ts';
import { askOutline, askText, askWhen, askWhich, describe, readNotice, readOutline, readWhen } from './schedule-forms.ts';

const NOTHING: Result = { text: 'Nothing is planned.' };

/** Who runs a command, and where; undefined: the host. */
interface Scene {
  readonly api: AnnouncementsApi;
  readonly from: Jid;
  readonly room: Room | undefined;
}

interface Outline {
  readonly node: string;
  readonly name: string;
  start(scene: Scene): Maybe<Stage | Result>;
}

const OUTLINES: readonly Outline[] = [
  { node: `${NS_ANNOUNCEMENTS}#schedule`, name: 'Plan an Announcement', start: plan },
  { node: `${NS_ANNOUNCEMENTS}#list`, name: 'List Planned Announcements', start: list },
  { node: `${NS_ANNOUNCEMENTS}#edit`, name: 'Change a Planned Announcement', start: change },
  { node: `${NS_ANNOUNCEMENTS}#cancel`, name: 'Cancel a Planned Announcement', start: cancel },
];

/** The commands of rooms. */
export function roomCommands(api: AnnouncementsApi): readonly Command<Room>[] {
  return OUTLINES.map(({ node, name, start }) => ({
    node,
    name,
    isAllowed: (from, room) => api.mayAnnounce(room, from),
    start: (from, room) => start({ api, from, room }),
  }));
}

/** The commands of the host, for those who administer it. */
export function hostCommands(api: AnnouncementsApi): readonly Command[] {
  const now: Outline = { node: `${NS_ANNOUNCEMENTS}#now`, name: 'Make an Announcement', start: announce };
  return [now, ...OUTLINES].map(({ node, name, start }) => ({
    node,
    name,
    isAllowed: (from) => api.mayAnnounce(undefined, from),
    start: (from) => start({ api, from, room: undefined }),
  }));
}

function announce({ api, from }: Scene): Stage {
  return {
    form: askText('Make an Announcement', api.targets),
    isLast: true,
    async next(answers) {
      const { to, ...notice } = readNotice(answers);
      if (!to) throw new StanzaError('not-acceptable', { text: 'It is not said to whom' });
      await api.announce(notice, to, from);
      return { text: 'The announcement is being made.' };
    },
  };
}

function plan(scene: Scene): Stage {
  const { api, room, from } = scene;
  return compose(scene, 'Plan an Announcement', (made) => api.schedule(room, made, from));
}

async function change(scene: Scene): Promise<Stage | Result> {
  const { api, room, from } = scene;
  return choose(scene, 'Change a Planned Announcement', (old) =>
    compose(scene, 'Change a Planned Announcement', (made) => api.edit(room, old.id, made, from), old),
  );
}

async function cancel(scene: Scene): Promise<Stage | Result> {
  const { api, room, from } = scene;
  return choose(
    scene,
    'Cancel a Planned Announcement',
    async ({ id }) => {
      await api.cancel(room, id, from);
      return { text: 'It will not be announced.' };
    },
    true,
  );
}

async function list({ api, room, from }: Scene): Promise<Result> {
  const all = await api.list(room, from);
  if (all.length === 0) return NOTHING;
  const zone = api.zoneOf(room);
  const fields = all.map((each): FormField => {
    const title = each.title === undefined ? [] : [each.title];
    const label = `${describe(each, zone)}${authorOf(each, room, from)}`;
    return { name: each.id, type: 'text-multi', label, values: [...title, ...each.text.split('\n')] };
  });
  return { form: writeForm('result', NS_ANNOUNCEMENTS, fields, { title: 'Planned Announcements' }) };
}

/** Real addresses are for those who may see them. */
function authorOf({ by }: Schedule, room: Room | undefined, viewer: Jid): string {
  return by !== '' && (!room || room.seesReal(viewer) || by === viewer.bare) ? `, planned by ${by}` : '';
}

/** Two pages: what and how often, and then when. */
function compose({ api, room }: Scene, title: string, keep: (made: Plan) => Promise<Schedule>, old?: Schedule): Stage {
  const zone = api.zoneOf(room);
  const targets = room ? [] : api.targets;
  return {
    form: askOutline(title, targets, old),
    next(answers) {
      const { every, ...what } = readOutline(answers);
      return {
        form: askWhen(title, every, zone, old?.when),
        isLast: true,
        async next(times: Answers) {
          const schedule = await keep({ ...what, when: readWhen(every, times) });
          return { text: `It is planned. ${describe(schedule, zone)}.` };
        },
      };
    },
  };
}

/** A page on which one is chosen. */
async function choose(
  { api, room, from }: Scene,
  title: string,
  go: (chosen: Schedule) => Maybe<Stage | Result>,
  isLast = false,
): Promise<Stage | Result> {
  const all = await api.list(room, from);
  if (all.length === 0) return NOTHING;
  return {
    form: askWhich(title, all, api.zoneOf(room)),
    isLast,
    next(answers) {
      const chosen = all.find(({ id }) => id === answers.get('id')?.[0]);
      if (!chosen) throw new StanzaError('item-not-found', { text: 'There is no such announcement' });
      return go(chosen);
    },
  };
}
