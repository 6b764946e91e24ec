// XEP-0363: files that are sent by uploading them and passing on where they are.
import { defineModule, isGuestName, Jid, keptSecret, type Maybe, mapStore, option } from '#core';
import disco from '../disco/index.ts';
import muc, { isAffiliated } from '../muc/index.ts';
import { Files } from './files.ts';
import { FolderStore } from './folder.ts';
import type { FileRecord, Owned, Purpose } from './record.ts';
import { UploadService } from './service.ts';
import { Serving } from './serving.ts';
import { TusEndpoint } from './tus.ts';

/** Milliseconds between two looks for files that are over. */
const EXPIRE_EVERY = 600_000;

const ACCESS = ['link', 'signed', 'people'] as const;

/** What other modules get from this one. */
export interface UploadApi {
  readonly jid: Jid;
  readonly files: Files;
}

export default defineModule({
  name: 'http-upload',
  doc: 'Files: uploads by HTTP, and downloads with permissions.',
  xeps: [{ xep: 363, version: '1.2.0' }],
  needs: [disco],
  wants: [muc],
  config: option.object({
    host: option.string({ default: '', doc: 'The domain of the service; upload. in front of that of the host when empty.' }),
    name: option.string({ default: 'Files', doc: 'What clients show as the name of the service.' }),
    url: option.string({
      default: '',
      doc: 'The public https:// address below which files are, with a slash at its end; empty: that of the first HTTPS listener, with `path`.',
    }),
    path: option.string({ default: '/upload/', doc: 'Where files are served; it ends with a slash.' }),
    folder: option.string({ default: '', doc: 'The folder of the files; http-upload below `data` when empty.' }),
    maxFileSize: option.bytes({ default: '100MiB', min: 1024, max: '1TiB', doc: 'Size of one file.' }),
    quota: option.bytes({ default: '2GiB', min: 1024, max: '1000TiB', doc: 'Size of all files that are kept for one account.' }),
    maxOpen: option.integer({
      default: 50,
      min: 1,
      max: 10_000,
      doc: 'Slots one account may have open without having uploaded the file.',
    }),
    slotTime: option.duration({ default: '1h', min: '1m', max: '7d', doc: 'Time to upload a file, breaks included.' }),
    patience: option.duration({
      default: '1m',
      min: '5s',
      max: '1h',
      doc: 'An upload in which nothing comes for so long is given up.',
    }),
    keepFor: option.duration({ default: '90d', doc: 'For how long files in messages are kept; 0 for ever.' }),
    keepProfiles: option.duration({ default: 0, doc: 'The same for pictures of profiles.' }),
    permanent: option.boolean({ default: true, doc: 'Whether files may be kept for ever when clients ask for that.' }),
    access: option.choice(ACCESS, {
      default: 'link',
      doc: 'Who may fetch a file, where its client does not say: whoever has the link; whoever has a link that is not older than `linkTime`; or only the people it was sent to, who show a ticket, which not every client can.',
    }),
    linkTime: option.duration({ default: '7d', min: '1m', doc: 'How long signed links are good.' }),
    types: option.object({
      allow: option.list(option.string({ doc: 'A media type, such as image/*.' }), {
        default: ['*/*'],
        doc: 'Types of files that are taken.',
      }),
      deny: option.list(option.string({ doc: 'A media type.' }), {
        default: [],
        example: ['application/x-msdownload'],
        doc: 'Types that are not.',
      }),
    }),
  }),
  stores: {
    /** By id. */
    records: mapStore<FileRecord>(),
    /** Of each user, by id. */
    owned: mapStore<Owned>(),
    /** Of no owner: 'tickets'. */
    secrets: mapStore<string>(),
  },

  async setup(ctx): Promise<UploadApi> {
    const {
      config,
      disco: registry,
      domain,
      endpoints,
      every,
      hooks,
      http,
      isAdmin,
      log,
      on,
      serve,
      stopping,
      stores,
      use,
    } = ctx;
    const jid = Jid.of('', config.host || `upload.${domain}`);
    const rooms = use(muc);
    const files = new Files({
      ...stores,
      blobs: new FolderStore(config.folder || (await ctx.folder())),
      limits: config,
      // Links that were given out stay good over a restart.
      secret: await keptSecret(stores.secrets, 'tickets'),
      log,
    });
    const path = config.path.endsWith('/') ? config.path : `${config.path}/`;
    const keepFor = (purpose: Purpose): number | undefined => {
      if (purpose === 'profile') return config.keepProfiles;
      if (purpose === 'permanent') return config.permanent ? 0 : undefined;
      return config.keepFor;
    };
    const { maxFileSize, patience } = config;
    const kept = (record: FileRecord) => keepUntil(record, keepFor(record.purpose));
    const parts = { files, path, maxFileSize, patience, keepUntil: kept };
    const serving = new Serving({ ...parts, tus: new TusEndpoint(parts) });
    const service = new UploadService({
      ...config,
      files,
      jid,
      site: () => config.url || siteOf(endpoints.site?.(domain), path),
      ticketTime: 600_000,
      keepFor,
      mayUpload: (by) => by.domain === domain && by.local !== '' && !isGuestName(by.local),
      isReader,
      mayRevoke,
    });

    serve(jid.domain, service);
    http(path, serving.answer, { methods: ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'], isLong: true });
    registry.extend({ items: ({ to, node }) => (to.local === '' && !node ? [{ jid: jid.domain, name: config.name }] : []) });
    on(hooks.accountDeleting, ({ username }) => files.removeAll(username), 0);
    every(EXPIRE_EVERY, () => files.expire(stopping));

    /** The other one of a conversation, or whoever is in the room or a member of it. */
    async function isReader(by: Jid, record: FileRecord): Promise<boolean> {
      if (record.with === undefined) return false;
      if (record.with === by.bare) return true;
      const room = await rooms?.find(Jid.parse(record.with));
      if (!room) return false;
      const { affiliation } = room.standingOf(by);
      return affiliation !== 'outcast' && (isAffiliated(affiliation, 'member') || room.occupants.of(by) !== undefined);
    }

    /** Admins, and moderators of the room it was sent to. */
    function mayRevoke(by: Jid, record: FileRecord): Maybe<boolean> {
      if (isAdmin(by)) return true;
      return record.with !== undefined && isModerator(by, Jid.parse(record.with));
    }

    async function isModerator(by: Jid, address: Jid): Promise<boolean> {
      const room = await rooms?.find(address);
      if (!room) return false;
      const { affiliation, role } = room.standingOf(by);
      return role === 'moderator' || isAffiliated(affiliation, 'admin');
    }

    return { jid, files };
  },
});

function keepUntil({ notAfter }: FileRecord, milliseconds = 0): number | undefined {
  const most = milliseconds === 0 ? undefined : Date.now() + milliseconds;
  return notAfter === undefined || most === undefined ? (notAfter ?? most) : Math.min(most, notAfter);
}

function siteOf(origin: string | undefined, path: string): string | undefined {
  return origin && `${origin}${path}`;
}
