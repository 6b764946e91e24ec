import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

const LENGTH = 32;

/**
 * A secret of this server that outlives it, by its name: 32 bytes from the system's generator, made when first asked for and kept in
 * the data folder, where only the server's user may read it. Rejects with the system's error when it can be neither read nor made.
 */
export async function serverSecret(folder: string, name: string): Promise<Buffer> {
  const file = join(folder, `${name}.secret`);
  return (await read(file)) ?? (await create(folder, file));
}

async function read(file: string): Promise<Buffer | undefined> {
  try {
    const secret = await readFile(file);
    if (secret.length !== LENGTH) throw new Error(`${file} is damaged: it should hold ${LENGTH} bytes`);
    return secret;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Written aside and linked into its place: there is never half a secret, and of two processes one wins. */
async function create(folder: string, file: string): Promise<Buffer> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const aside = `${file}.${randomBytes(8).toString('hex')}`;
  const handle = await open(aside, 'wx', 0o600);
  try {
    await handle.writeFile(randomBytes(LENGTH));
    await handle.sync();
    await link(aside, file).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await handle.close();
    await rm(aside, { force: true });
  }
  return (await read(file))!;
}
