import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The project's folder. */
export const TOP = fileURLToPath(new URL('../../../', import.meta.url));
/** Where the load tool's source and the config templates are; compiling copies no such files. */
export const SOURCES = join(TOP, 'scripts', 'bench');
/** Where the compiled load tool is kept. */
export const CACHE = join(TOP, '.cache', 'bench');
