import type { Affiliation, Role, Room } from '../../modules/muc/index.ts';
import type { Settings } from '../../modules/muc/settings.ts';
import type { Probe } from './probe.ts';
import { type RoomScene, SERVICE } from './room-scene.ts';

/** What somebody is to a room who tries something there. */
export interface Standing {
  readonly username: string;
  readonly affiliation: Affiliation;
  /** Undefined: it is not in the room. */
  readonly role?: Role;
}

/** Everybody who can be something to a room, in the order of the columns of tables. Those who administer the host are `hst`. */
export const STANDINGS = {
  out: { username: 'outcast', affiliation: 'outcast' },
  str: { username: 'stranger', affiliation: 'none' },
  vis: { username: 'visitor', affiliation: 'none', role: 'visitor' },
  par: { username: 'participant', affiliation: 'none', role: 'participant' },
  mod: { username: 'moderator', affiliation: 'none', role: 'moderator' },
  mem: { username: 'member', affiliation: 'member' },
  'mem+': { username: 'member', affiliation: 'member', role: 'participant' },
  memM: { username: 'member', affiliation: 'member', role: 'moderator' },
  adm: { username: 'admin', affiliation: 'admin' },
  'adm+': { username: 'admin', affiliation: 'admin', role: 'moderator' },
  own: { username: 'owner', affiliation: 'owner' },
  'own+': { username: 'owner', affiliation: 'owner', role: 'moderator' },
  hst: { username: 'boss', affiliation: 'none' },
  'hst+': { username: 'boss', affiliation: 'none', role: 'moderator' },
} as const satisfies Record<string, Standing>;

/** One of STANDINGS. */
export type Column = keyof typeof STANDINGS;
/** All of them, in order. */
export const COLUMNS = Object.keys(STANDINGS) as readonly Column[];

/** The kinds of rooms of XEP-0045 section 4.2 that make a difference, as what differs from a usual one: open, public, semi-anonymous. */
export const KINDS = {
  open: {},
  members: { isMembersOnly: true },
  'members with invitations': { isMembersOnly: true, mayMembersInvite: true },
  'members, non-anonymous': { isMembersOnly: true, whois: 'anyone' },
  moderated: { isModerated: true },
  password: { password: 'open sesame' },
  'non-anonymous': { whois: 'anyone' },
  hidden: { isPublic: false },
  'with a free subject': { mayOccupantsChangeSubject: true },
} as const satisfies Record<string, Partial<Settings>>;

/** One of KINDS. */
export type Kind = keyof typeof KINDS;

/** A room in which somebody tries something; the keeper owns it and is in it, and so is the target, a participant. */
export interface Place {
  readonly room: Room;
  readonly address: string;
  readonly actor: Probe;
  readonly keeper: Probe;
  readonly target: Probe;
}

let rooms = 0;

/** Makes a room of this kind and puts somebody in their place; undefined where nobody can be in that place. */
export async function arrange(scene: RoomScene, kind: Kind, column: Column): Promise<Place | undefined> {
  const standing: Standing = STANDINGS[column];
  const settings: Partial<Settings> = KINDS[kind];
  if (settings.isMembersOnly && standing.role && standing.affiliation === 'none' && standing.username !== 'boss')
    return undefined;
  const name = `room${++rooms}`;
  const address = `${name}@${SERVICE}`;
  const people = {
    target: settings.isMembersOnly ? ('member' as const) : ('none' as const),
    [standing.username]: standing.affiliation,
  };
  const room = await scene.room({ name, people });
  const [keeper, target, actor] = [
    await scene.client('keeper'),
    await scene.client('target'),
    await scene.client(standing.username),
  ];
  for (const probe of [keeper, target, ...(standing.role ? [actor] : [])]) await scene.enter(probe, { room: address });
  await scene.rooms.configure(room, { ...room.settings, ...settings });
  scene.assign(room, 'target', 'participant');
  if (standing.role) scene.assign(room, standing.username, standing.role);
  await scene.hush(keeper, target, actor);
  return { room, address, actor, keeper, target };
}

/** Ends the room, so that the next one begins with clients that are in none. */
export async function tidy(scene: RoomScene, { room, keeper, target, actor }: Place): Promise<void> {
  if (!room.isGone) await scene.rooms.destroy(room);
  await scene.hush(keeper, target, actor);
}

/** What the letters of a table mean; a dot is what the text leaves open, a dash what cannot be tried. */
export const OUTCOMES: Readonly<Record<string, string>> = {
  '+': 'allowed',
  f: 'forbidden/auth',
  a: 'not-acceptable/modify',
  c: 'not-acceptable/cancel',
  n: 'not-allowed/cancel',
  k: 'conflict/cancel',
  r: 'registration-required/auth',
  w: 'not-authorized/auth',
  V: 'visitor',
  P: 'participant',
  M: 'moderator',
  0: 'nothing',
};
