/** What the page and its scripts depend on. */
export interface PageSettings {
  /** The path of the page; ends with a slash. */
  readonly base: string;
  readonly domain: string;
  readonly title: string;
  /** Whether the client offers to make an account. */
  readonly registration: boolean;
  /** The WebSocket endpoint: a path or an address. */
  readonly websocket: string;
}

/**
 * The page: a welcome while the client loads, and nothing that the policy would need an exception for. The client's own script is
 * named here and not only imported, since the client looks for the rest of its files beside it.
 */
export function renderPage(settings: PageSettings): string {
  const base = escapeHtml(settings.base);
  const title = escapeHtml(settings.title);
  const register = settings.registration ? ' or <a href="#converse/register">make an account</a>' : '';
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" type="image/svg+xml" href="${base}converse/favicon.svg">
<link rel="stylesheet" href="${base}converse/converse.min.css">
<link rel="stylesheet" href="${base}converse/welcome.css">
</head>
<body class="converse-fullscreen">
<main id="welcome">
<img src="${base}converse/favicon.svg" width="64" height="64" alt="">
<h1>${title}</h1>
<p class="needs-script">Chat at <strong>${escapeHtml(settings.domain)}</strong>: <a href="#converse/login">log in</a>${register}.</p>
<p id="state" class="needs-script" role="status">Loading the client…</p>
<noscript><p>This client needs JavaScript. Any other XMPP client works as well, with an address at ${escapeHtml(settings.domain)}.</p></noscript>
</main>
<div id="conversejs-bg"><p>Choose a contact to chat with, or add one from the menu beside Contacts.</p></div>
<script type="module" src="${base}converse/converse.min.js"></script>
<script type="module" src="${base}converse/start.js"></script>
</body>
</html>
`;
}

/** The script that loads the client and starts it with this host's settings. */
export function renderStart(settings: PageSettings): string {
  const options = {
    assets_path: `${settings.base}converse`,
    view_mode: 'fullscreen',
    discover_connection_methods: false,
    locked_domain: settings.domain,
    registration_domain: settings.domain,
    allow_registration: settings.registration,
    // The list of other providers lies elsewhere, where the policy lets nobody go.
    autocomplete_providers_url: '',
    providers_link: '',
    xmpp_providers_url: '',
    // Frames of others are not let in either.
    embed_3rd_party_media_players: false,
    locked_muc_domain: false,
    muc_domain: `conference.${settings.domain}`,
    // Who looks into a room does not want to be a member of it from then on.
    auto_register_muc_nickname: false,
    whitelisted_plugins: ['own'],
    auto_away: 300,
    loglevel: 'warn',
    persistent_store: 'IndexedDB',
    // Who has just come sees an empty list of contacts, not themselves in it.
    show_self_in_roster: false,
  };
  const names = { title: settings.title, domain: settings.domain, icon: `${settings.base}converse/favicon.svg` };
  return `const options = ${toScript(options)};
const names = ${toScript(names)};
const endpoint = new URL(${toScript(settings.websocket)}, location.href);
if (endpoint.protocol.startsWith('http')) endpoint.protocol = endpoint.protocol.replace('http', 'ws');
${OWN_ELEMENTS}
${OWN_PLUGIN}
const welcome = document.getElementById('welcome');
try {
  const { default: converse } = await import('./converse.min.js');
  converse.plugins.add('own', OWN_PLUGIN);
  await converse.initialize({ ...options, websocket_url: endpoint.href });
  welcome.remove();
} catch (error) {
  document.getElementById('state').textContent = 'The client could not be started. Please load the page again.';
  throw error;
}
`;
}

/**
 * The client's heading, menu and footer are elements that a page may bring itself. Ours say where one is; the client's own menu has
 * its author's addresses for whoever looks for help here, and its footer would load pictures from elsewhere, which is nobody's
 * business before anybody has logged in.
 */
const OWN_ELEMENTS = `function make(name, attributes, ...children) {
  const element = Object.assign(document.createElement(name), attributes);
  element.append(...children);
  return element;
}
customElements.define('converse-brand-logo', class extends HTMLElement {
  connectedCallback() {
    const icon = make('img', { src: names.icon, alt: '', width: 64, height: 64 });
    const heading = make('div', { className: 'own-heading' }, icon, make('h1', {}, names.title), make('p', {}, names.domain));
    this.replaceChildren(heading);
  }
});
customElements.define('converse-controlbox-navbar', class extends HTMLElement {});
customElements.define('converse-footer', class extends HTMLElement {
  connectedCallback() {
    const client = make('a', { href: 'https://conversejs.org/', target: '_blank', rel: 'noopener noreferrer' }, 'Converse');
    this.replaceChildren(make('footer', { className: 'own-footer' }, 'The client is ', client, ', free software.'));
  }
});`;

/**
 * The client reads and writes bookmarks one by one (XEP-0402) and does what it is told of them, but only says that it wants to be told of
 * the older form, which it then passes over.
 */
const OWN_PLUGIN = `const OWN_PLUGIN = {
  initialize() {
    const { api } = this._converse;
    api.listen.on('addClientFeatures', () => api.disco.own.features.add('urn:xmpp:bookmarks:1+notify'));
  },
};`;

/** The look of the welcome, and of what is ours in the client. */
export const WELCOME_CSS = `#welcome {
  position: fixed;
  inset: 0;
  z-index: 1;
  display: flex;
  flex-direction: column;
  align-items: center;
  justify-content: center;
  padding: 1rem;
  font: 1rem/1.5 system-ui, sans-serif;
  text-align: center;
  color: #1d2733;
  background: #f4f6f8;
}
#welcome h1 { margin: 0.75rem 0 0; font-size: 1.75rem; }
#welcome p { margin: 0.5rem 0 0; }
#welcome a { color: #1f5f8b; }
#state { opacity: 0.7; }
#conversejs-bg { display: none; }
body:has(#controlbox:not(.logged-out)) #conversejs-bg {
  position: fixed;
  inset: 0 0 0 25%;
  display: flex;
  align-items: center;
  justify-content: center;
  padding: 2rem;
  font: 1rem/1.5 system-ui, sans-serif;
  text-align: center;
  opacity: 0.7;
}
@media (scripting: none) { #welcome .needs-script { display: none; } }
#converse-register .input-group { flex-wrap: nowrap; }
#converse-register .form-label::first-letter { text-transform: uppercase; }
.own-heading { padding: 1rem; text-align: center; }
.own-heading h1 { margin: 0.5rem 0 0; font-size: 1.75rem; }
.own-heading p { margin: 0; opacity: 0.7; }
.own-footer { padding: 1rem; text-align: center; font-size: 0.875rem; opacity: 0.8; }
@media (prefers-color-scheme: dark) {
  #welcome { color: #e6ebf0; background: #1b2128; }
  #welcome a { color: #8cc4ee; }
}
`;

/** Two balloons. */
export const FAVICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64">
<path fill="#1f5f8b" d="M8 6h34a6 6 0 0 1 6 6v18a6 6 0 0 1-6 6H24L12 46V36H8a6 6 0 0 1-6-6V12a6 6 0 0 1 6-6z"/>
<path fill="#e08a2e" d="M54 22h2a6 6 0 0 1 6 6v16a6 6 0 0 1-6 6h-2v8l-10-8H30a6 6 0 0 1-6-6v-2h20a10 10 0 0 0 10-10z"/>
</svg>
`;

/** '<' is written as an escape, so that no setting could end a script element. */
function toScript(value: unknown): string {
  return JSON.stringify(value, null, 2)
    .replaceAll('<', '\\u003c')
    .replaceAll('\u2028', '\\u2028')
    .replaceAll('\u2029', '\\u2029');
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
