import { z } from 'zod';
import { Jid } from '../jid.ts';
import type { Server } from '../server.ts';
import { StanzaError } from '../stanza/errors.ts';
import type { ControlHandler } from './control.ts';
import type { Status } from './running.ts';
import { CliError } from './terminal.ts';

const account = z.string().transform((text, context) => {
  const jid = Jid.tryParse(text);
  if (jid && jid.local !== '' && jid.isBare) return jid;
  context.addIssue({ code: 'custom', message: 'no account' });
  return z.NEVER;
});

/** What commands may ask of a running server. */
const requests = z.discriminatedUnion('do', [
  z.object({ do: z.literal('status') }),
  z.object({ do: z.literal('reload') }),
  z.object({ do: z.literal('restart'), module: z.string() }),
  z.object({ do: z.literal('list'), host: z.string() }),
  z.object({ do: z.literal('create'), jid: account, password: z.string() }),
  z.object({ do: z.literal('password'), jid: account, password: z.string() }),
  z.object({ do: z.literal('delete'), jid: account }),
]);
type Request = z.infer<typeof requests>;

/** How a refusal of the accounts travels to the command that asked. */
export interface Refusal {
  readonly refused: StanzaError['condition'];
}

/** Answers what commands ask over the control socket. */
export function answerRequests(server: Server, reload: () => Promise<readonly string[]>): ControlHandler {
  return async (written) => {
    const parsed = requests.safeParse(written);
    if (!parsed.success) throw new CliError('the running server does not know this request; it may be of another version');
    try {
      return await answer(server, parsed.data, reload);
    } catch (error) {
      if (error instanceof StanzaError) return { refused: error.condition } satisfies Refusal;
      throw error;
    }
  };
}

async function answer(server: Server, request: Request, reload: () => Promise<readonly string[]>): Promise<unknown> {
  switch (request.do) {
    case 'status':
      return describe(server);
    case 'reload':
      return { notes: await reload() };
    case 'restart':
      return { hosts: await server.restartModule(request.module) };
    case 'list':
      return { accounts: await accountsOf(server, request.host).list() };
    case 'create':
      await accountsOf(server, request.jid.domain).create(request.jid.local, request.password);
      return {};
    case 'password':
      await accountsOf(server, request.jid.domain).setPassword(request.jid.local, request.password);
      return {};
    case 'delete':
      accountsOf(server, request.jid.domain);
      return { existed: await server.deleteAccount(request.jid) };
  }
}

function accountsOf(server: Server, domain: string) {
  const host = server.host(domain);
  if (!host) throw new CliError(`the running server does not serve ${domain}; parlance reload may help`);
  return host.accounts;
}

async function describe(server: Server): Promise<Status> {
  const problems = await server.findProblems();
  return {
    healthy: problems.length === 0,
    problems,
    listeners: server.listeners.map(({ type, address, port }) => ({ type, address, port })),
    hosts: server.describeHosts(),
    connections: server.c2s.streams.size,
    memory: process.memoryUsage.rss(),
  };
}
