import announce from '../../modules/announce/index.ts';
import avatars from '../../modules/avatars/index.ts';
import blocking from '../../modules/blocking/index.ts';
import bookmarks from '../../modules/bookmarks/index.ts';
import caps from '../../modules/caps/index.ts';
import carbons from '../../modules/carbons/index.ts';
import commands from '../../modules/commands/index.ts';
import contactAddresses from '../../modules/contact-addresses/index.ts';
import csi from '../../modules/csi/index.ts';
import disco from '../../modules/disco/index.ts';
import hostMeta from '../../modules/host-meta/index.ts';
import httpUpload from '../../modules/http-upload/index.ts';
import inbox from '../../modules/inbox/index.ts';
import last from '../../modules/last/index.ts';
import mam from '../../modules/mam/index.ts';
import mds from '../../modules/mds/index.ts';
import muc from '../../modules/muc/index.ts';
import mucActivity from '../../modules/muc-activity/index.ts';
import mucAnnouncements from '../../modules/muc-announcements/index.ts';
import mucHats from '../../modules/muc-hats/index.ts';
import mucMembership from '../../modules/muc-membership/index.ts';
import mucMentions from '../../modules/muc-mentions/index.ts';
import mucModeration from '../../modules/muc-moderation/index.ts';
import mucSearch from '../../modules/muc-search/index.ts';
import mucVcard from '../../modules/muc-vcard/index.ts';
import offline from '../../modules/offline/index.ts';
import pep from '../../modules/pep/index.ts';
import ping from '../../modules/ping/index.ts';
import presence from '../../modules/presence/index.ts';
import privateStorage from '../../modules/private/index.ts';
import pubsub from '../../modules/pubsub/index.ts';
import push from '../../modules/push/index.ts';
import register from '../../modules/register/index.ts';
import roster from '../../modules/roster/index.ts';
import sharedGroups from '../../modules/shared-groups/index.ts';
import sm from '../../modules/sm/index.ts';
import time from '../../modules/time/index.ts';
import userSearch from '../../modules/user-search/index.ts';
import vcard from '../../modules/vcard/index.ts';
import vcard4 from '../../modules/vcard4/index.ts';
import version from '../../modules/version/index.ts';
import webclient from '../../modules/webclient/index.ts';
import type { AnyModule } from './module.ts';

const all: readonly AnyModule[] = [
  announce,
  avatars,
  blocking,
  bookmarks,
  caps,
  carbons,
  commands,
  contactAddresses,
  csi,
  disco,
  hostMeta,
  httpUpload,
  inbox,
  last,
  mam,
  mds,
  muc,
  mucActivity,
  mucAnnouncements,
  mucHats,
  mucMembership,
  mucMentions,
  mucModeration,
  mucSearch,
  mucVcard,
  offline,
  pep,
  ping,
  presence,
  privateStorage,
  pubsub,
  push,
  register,
  roster,
  sharedGroups,
  sm,
  time,
  userSearch,
  vcard,
  vcard4,
  version,
  webclient,
];

/** The modules that come with the server, by name. A config switches them on. */
export const builtin: ReadonlyMap<string, AnyModule> = new Map(all.map((module) => [module.name, module]));
