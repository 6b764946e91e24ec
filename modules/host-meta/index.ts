// XEP-0156: where a client that only speaks HTTP finds this host's WebSocket and BOSH endpoints.
import type { ServerResponse } from 'node:http';
import { defineModule, type HttpRequest, isLoopback, option, xml } from '#core';

const REL = 'urn:xmpp:alt-connections:';
const NS_XRD = 'http://docs.oasis-open.org/ns/xri/xrd-1.0';

interface Link {
  readonly rel: string;
  readonly href: string;
}

export default defineModule({
  name: 'host-meta',
  doc: 'Tells web clients where to connect (/.well-known/host-meta and host-meta.json).',
  xeps: [{ xep: 156, version: '1.4.0' }],
  config: option.object({
    websocket: option.string({
      default: '',
      doc: 'The public wss:// address of the WebSocket endpoint; empty: the address that host-meta itself was asked at, with the path of http.websocket.',
    }),
    bosh: option.string({
      default: '',
      doc: 'The public https:// address of the BOSH endpoint; empty: the address that host-meta itself was asked at, with the path of http.bosh.',
    }),
  }),

  setup({ config, endpoints, http }) {
    // RFC 6415 section 2: XRD for everybody, and JSON under a name of its own.
    http('/.well-known/host-meta', (request, response) => {
      const links = findLinks(request).map((link) => xml('Link', { ...link }));
      send(
        response,
        'application/xrd+xml; charset=utf-8',
        `<?xml version='1.0' encoding='utf-8'?>${xml('XRD', NS_XRD, ...links)}`,
      );
    });
    http('/.well-known/host-meta.json', (request, response) => {
      send(response, 'application/json', JSON.stringify({ links: findLinks(request) }));
    });

    function findLinks(request: HttpRequest): Link[] {
      const websocket = config.websocket || derive(request, 'ws', endpoints.websocket);
      const bosh = config.bosh || derive(request, 'http', endpoints.bosh);
      return [
        { rel: `${REL}websocket`, href: websocket },
        { rel: `${REL}xbosh`, href: bosh },
      ].filter(({ href }) => href !== '');
    }
  },
});

function send(response: ServerResponse, type: string, text: string): void {
  response.setHeader('Content-Type', type);
  // Any page may read this, and this only (XEP-0156 section 4).
  response.setHeader('Access-Control-Allow-Origin', '*');
  response.end(text);
}

/** Only encrypted addresses may be announced (XEP-0156 section 2.2), but for a development server on a loopback address. */
function derive({ secure, headers, remoteAddress }: HttpRequest, scheme: 'ws' | 'http', path: string): string {
  const authority = headers.host ?? '';
  if (!/^[A-Za-z0-9.:[\]-]{1,255}$/.test(authority)) return '';
  if (secure) return `${scheme}s://${authority}${path}`;
  return isLoopback(remoteAddress) ? `${scheme}://${authority}${path}` : '';
}
