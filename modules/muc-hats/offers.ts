// XEP-0317 sections 3.2 to 3.7: the commands by which hats are made, given out and looked at.
import { type Jid, type Maybe, xml } from '#core';
import type { Answers, FormCommand } from '../commands/index.ts';
import { announce, isAffiliated, type Room } from '../muc/index.ts';
import {
  assignmentsOf,
  choiceForm,
  creationForm,
  listOf,
  NS_COMMANDS,
  readHat,
  readUri,
  readWearer,
  wearerForm,
} from './forms.ts';
import type { HatLimits, Rack } from './rack.ts';

const NS_USER = 'http://jabber.org/protocol/muc#user';
const CONFIG_CHANGED = '104';
/** Presences sent because of one change of a hat that many wear: what others wear is seen with their next presence. */
const MAX_TOLD = 20_000;

/** What the commands work with. */
export interface OffersParts {
  readonly limits: HatLimits;
  rackOf(room: Room): Maybe<Rack>;
  mayManage(from: Jid, room: Room): boolean;
  /** Told of accounts that may have got a hat, or lost one. */
  note(room: Room, wearers: readonly string[]): Promise<void>;
}

/** The commands. */
export function offersOf({ limits, rackOf, mayManage, note }: OffersParts): readonly FormCommand<Room>[] {
  /** A command for those who manage hats. */
  const offer = (name: string, text: string, rest: Pick<FormCommand<Room>, 'form' | 'run'>): FormCommand<Room> => ({
    ...rest,
    node: `${NS_COMMANDS}:${name}`,
    name: text,
    isAllowed: mayManage,
  });
  /** Does something with one account. True when that changes what it wears. */
  const act = async (answers: Answers, room: Room, put: (rack: Rack, bare: string, uri: string) => Promise<boolean>) => {
    const { bare } = readWearer(answers);
    const isChanged = await put(await rackOf(room), bare, readUri(answers));
    await note(room, [bare]);
    if (isChanged) showOn(room, [bare]);
    return bare;
  };
  return [
    offer('create', 'Create a hat', {
      form: () => creationForm(),
      async run(answers, _, room) {
        const hat = readHat(answers);
        showOn(room, await (await rackOf(room)).make(hat, limits));
        tellChange(room);
        return `There is a hat ${hat.title}.`;
      },
    }),
    offer('destroy', 'Destroy a hat', {
      form: async (_, room) => choiceForm('Destroying a Hat', (await rackOf(room)).hats),
      async run(answers, _, room) {
        const wearers = await (await rackOf(room)).destroy(readUri(answers));
        await note(room, wearers);
        showOn(room, wearers);
        tellChange(room);
        return 'The hat is no more.';
      },
    }),
    offer('assign', 'Assign a hat', {
      form: async (_, room) => wearerForm('Assigning a Hat', (await rackOf(room)).hats),
      async run(answers, _, room) {
        return `${await act(answers, room, (rack, bare, uri) => rack.assign(bare, uri, limits))} wears the hat.`;
      },
    }),
    offer('unassign', 'Remove a hat', {
      form: async (_, room) => wearerForm('Removing a Hat', (await rackOf(room)).hats),
      async run(answers, _, room) {
        return `${await act(answers, room, (rack, bare, uri) => rack.unassign(bare, uri))} does not wear the hat.`;
      },
    }),
    {
      ...offer('list', 'List hats', { run: async (_, __, room) => ({ form: listOf((await rackOf(room)).hats) }) }),
      isAllowed: isInside,
    },
    {
      ...offer('list-assigned', 'List who wears hats', {
        run: async (_, __, room) => ({ form: assignmentsOf(pairs(await rackOf(room))) }),
      }),
      // It tells real addresses.
      isAllowed: (from, room) => mayManage(from, room) || (isInside(from, room) && room.seesReal(from)),
    },
  ];
}

/** Shows everybody anew what these accounts wear. */
function showOn(room: Room, wearers: readonly string[]): void {
  let left = MAX_TOLD;
  for (const bare of wearers) {
    for (const occupant of room.occupants.ofAccount(bare)) {
      occupant.forms = undefined;
      left -= room.occupants.size;
      if (left >= 0) announce(room, occupant);
    }
  }
}

/** The hats of the room are others now (section 3.2). */
function tellChange(room: Room): void {
  room.notify(xml('x', NS_USER, xml('status', { code: CONFIG_CHANGED })));
}

function isInside(from: Jid, room: Room): boolean {
  return room.occupants.of(from) !== undefined || isAffiliated(room.affiliationOf(from), 'member');
}

function* pairs(rack: Rack) {
  for (const bare of rack.wearers) for (const hat of rack.wornBy(bare)) yield [bare, hat] as const;
}
