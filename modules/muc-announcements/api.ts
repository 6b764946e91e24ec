import { type Jid, type Maybe, StanzaError, sortableId } from '#core';
import { isAffiliated, type Room } from '../muc/index.ts';
import { type Agenda, HOST } from './agenda.ts';
import type { Campaigns } from './campaign.ts';
import { ANNOUNCE_FIELD, zoneOf } from './fields.ts';
import type { Pin, Pins } from './pins.ts';
import { checkNotice, type Notice, type Plan, type PlanLimits, type Schedule, type Target } from './plan.ts';

/** By whose right something is done: somebody's (a full JID where they are in the room), or the host's own when undefined. */
export type Actor = Jid | undefined;

/**
 * What other modules get from this one; the commands and IQs use the same. What is refused rejects with StanzaError: `forbidden` for who
 * has no right, `item-not-found` for what is not there, `not-acceptable` and `policy-violation` for what cannot be, and
 * `resource-constraint` for too much. Promises resolve once it is durable. A `room` of undefined means the host's own announcements.
 */
export interface AnnouncementsApi {
  /** What is pinned in a room, the newest pin first. Retracted messages are not. */
  pins(room: Room): Maybe<readonly Pin[]>;
  /** Pins a message by its id in the room's archive, and tells everybody; a pinned one stays as it is. */
  pin(room: Room, id: string, by: Actor): Promise<Pin>;
  /** Takes a pin off, and tells everybody. */
  unpin(room: Room, id: string, by: Actor): Promise<void>;
  /** What is planned, the next one first. */
  list(room: Room | undefined, by: Actor): Promise<readonly Schedule[]>;
  /** Plans an announcement; a plan of the host says to whom. */
  schedule(room: Room | undefined, plan: Plan, by: Actor): Promise<Schedule>;
  /** Puts another plan in the place of one: whoever has made it may, and admins of the room. */
  edit(room: Room | undefined, id: string, plan: Plan, by: Actor): Promise<Schedule>;
  /** As `edit`. */
  cancel(room: Room | undefined, id: string, by: Actor): Promise<Schedule>;
  /** Announces something to many, now; resolves with the id of the messages. In rooms it is said, to accounts it is sent. */
  announce(notice: Notice, to: Target, by: Actor): Promise<string>;
  /** To whom something can be announced. */
  readonly targets: readonly Target[];
  /** Whether somebody may plan announcements there. */
  mayAnnounce(room: Room | undefined, by: Jid): boolean;
  /** The time zone of what is planned there. */
  zoneOf(room: Room | undefined): string;
}

/** What the API is made of. */
export interface ApiParts {
  readonly pins: Pins;
  readonly agenda: Agenda;
  readonly campaigns: Campaigns;
  readonly limits: PlanLimits;
  readonly hostZone: string;
  isAdmin(jid: Jid): boolean;
}

/** Makes it. */
export function createApi(parts: ApiParts): AnnouncementsApi {
  const { pins, agenda, campaigns } = parts;
  const mayAnnounce = (room: Room | undefined, by: Jid): boolean =>
    room ? room.may(by, room.levelOf(ANNOUNCE_FIELD)) : parts.isAdmin(by);
  const zoneAt = (room: Room | undefined): string => (room ? zoneOf(room) : parts.hostZone);

  function check(room: Room | undefined, by: Actor): void {
    if (room?.isGone || room?.isLocked) throw new StanzaError('item-not-found', { text: 'There is no such room' });
    if (by && !mayAnnounce(room, by)) throw new StanzaError('forbidden', { text: 'You may not plan announcements here' });
  }

  /** Others' are only for those who look after the place. */
  function checkOwn(room: Room | undefined, by: Actor): (schedule: Schedule) => void {
    const mayAll = !by || !room || isAffiliated(room.affiliationOf(by), 'admin');
    return (schedule) => {
      if (mayAll || schedule.by === by?.bare) return;
      throw new StanzaError('forbidden', { text: 'Somebody else has planned this' });
    };
  }

  function complete(room: Room | undefined, plan: Plan): Plan {
    const { text, title, when, to } = plan;
    const content = { text, when, ...(title !== undefined && { title }) };
    if (room) return content;
    return { ...content, to: campaigns.check(to, plan) };
  }

  return {
    pins: (room) => pins.of(room),
    pin: (room, id, by) => pins.pin(room, id, by),
    unpin: (room, id, by) => pins.unpin(room, id, by),
    async list(room, by) {
      check(room, by);
      return agenda.list(ownerOf(room));
    },
    async schedule(room, plan, by) {
      check(room, by);
      return agenda.add(ownerOf(room), complete(room, plan), { zone: zoneAt(room), by: by?.bare ?? '' });
    },
    async edit(room, id, plan, by) {
      check(room, by);
      return agenda.edit(ownerOf(room), id, { plan: complete(room, plan), zone: zoneAt(room), check: checkOwn(room, by) });
    },
    async cancel(room, id, by) {
      check(room, by);
      return agenda.cancel(ownerOf(room), id, checkOwn(room, by));
    },
    async announce(notice, to, by) {
      check(undefined, by);
      const checked = checkNotice(notice, parts.limits);
      campaigns.check(to, checked);
      const job = campaigns.make(checked, to, sortableId());
      await campaigns.launch(job);
      return job.id;
    },
    get targets() {
      return campaigns.targets;
    },
    mayAnnounce,
    zoneOf: zoneAt,
  };
}

function ownerOf(room: Room | undefined): string {
  return room ? room.jid.bare : HOST;
}
