import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { asciiDomain } from '../precis/domain.ts';

/** The folder in which a module keeps files of one host, below the server's data; made, for the server's user only, when it is not there. */
export async function moduleFolder(data: string, module: string, domain: string): Promise<string> {
  const folder = join(data, module, asciiDomain(domain));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}
