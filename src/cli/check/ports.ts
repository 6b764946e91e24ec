import { once } from 'node:events';
import { createServer } from 'node:net';
import { type CheckContext, codeOf, Findings } from './finding.ts';

const FIXES: ReadonlyMap<string, string> = new Map([
  ['EADDRINUSE', 'Another program has this port (ss -ltnp shows which): stop it, or choose another port under listeners.'],
  [
    'EACCES',
    'Ports below 1024 need a right: AmbientCapabilities=CAP_NET_BIND_SERVICE in the service unit, or choose another port.',
  ],
  ['EADDRNOTAVAIL', 'No network interface of this machine has this address (ip addr shows them): correct it under listeners.'],
  ['EAFNOSUPPORT', 'This machine has no IPv6: leave such addresses out under listeners.'],
]);

/** Whether every listener can have its address and port. A port of the running server is fine. */
export async function checkPorts({ config, running }: Pick<CheckContext, 'config' | 'running'>): Promise<Findings> {
  const findings = new Findings('listeners');
  for (const { type, port, addresses } of config.listeners) {
    for (const address of port === 0 ? [] : addresses) {
      const place = `${type} ${address.includes(':') ? `[${address}]` : address}:${port}`;
      const problem = await tryListening(address, port);
      const isOurs = running?.listeners.some((listener) => listener.address === address && listener.port === port) === true;
      if (problem === undefined) findings.ok(place, 'free');
      else if (problem === 'EADDRINUSE' && isOurs) findings.ok(place, `taken by the running server (process ${running?.pid})`);
      else findings.fail(place, `cannot be listened on (${problem})`, FIXES.get(problem) ?? 'Correct it under listeners.');
    }
  }
  if (config.listeners.length === 0)
    findings.warn(
      'listeners',
      'there are none',
      'Without listeners nobody can connect: leave the option out for the usual ones.',
    );
  return findings;
}

async function tryListening(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    // As the server does it: [::] is IPv6 alone, so that 0.0.0.0 can stand beside it.
    server.listen({ host, port, ipv6Only: true, exclusive: true });
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    return codeOf(error);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}
