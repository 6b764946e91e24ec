// Makes a fresh clone ready: installs what is missing, compiles what has changed, and says what it does meanwhile.
// Needs nothing but Node itself, since it runs before anything is installed.
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const top = join(dirname(fileURLToPath(import.meta.url)), '..');
const marker = join(top, 'node_modules', '.parlance-installed');
const lockfile = join(top, 'package-lock.json');
const [major, minor] = process.versions.node.split('.').map(Number);

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Parlance needs Node.js 20.19 or newer; this is ${process.versions.node}.`);
  process.exit(1);
}
if (!isInstalled()) await install();
await compile();

/** What was installed was installed from this lockfile, for this Node (native modules are built for one). */
function stamp() {
  return `${process.versions.modules} ${process.platform}-${process.arch}\n${readFileSync(lockfile, 'utf8')}`;
}

function isInstalled() {
  return existsSync(marker) && readFileSync(marker, 'utf8') === stamp();
}

async function install() {
  console.log('Installing packages (SQLite is compiled here: one to three minutes on a small machine) ...');
  await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'installing');
  writeFileSync(marker, stamp());
}

async function compile() {
  const built = join(top, 'dist', '.tsbuildinfo');
  if (!existsSync(join(top, 'node_modules', 'ts7'))) {
    // An image without development packages brings dist/ with it.
    if (existsSync(join(top, 'dist', 'src', 'main.js'))) return;
    console.error('The compiler is not installed and dist/ is missing: run `npm install` first.');
    process.exit(1);
  }
  if (!existsSync(built)) console.log('Compiling ...');
  else if (!existsSync(join(top, 'dist', 'src', 'main.js')) && statSync(built)) rmSync(built);
  await run(process.execPath, [join(top, 'node_modules', 'ts7', 'bin', 'tsc'), '-p', top, '--incremental'], 'compiling');
  chmodSync(join(top, 'dist', 'src', 'main.js'), 0o755);
}

/** Runs a command, with a line every ten seconds so that nobody thinks it hangs. Its failure is ours. */
async function run(command, args, doing) {
  const began = Date.now();
  const seconds = () => Math.round((Date.now() - began) / 1000);
  const tick = setInterval(() => console.log(`  still ${doing} (${seconds()} s)`), 10_000);
  const shell = process.platform === 'win32';
  const child = spawn(command, args, { cwd: top, stdio: 'inherit', shell });
  const code = await new Promise((resolve) => {
    child.once('error', (error) => {
      console.error(`${command}: ${error.message}`);
      resolve(1);
    });
    child.once('exit', (status) => resolve(status ?? 1));
  });
  clearInterval(tick);
  if (code !== 0) {
    console.error(`Failed while ${doing}: ${command} ended with ${code}.`);
    process.exit(code);
  }
  if (seconds() >= 10) console.log(`  done ${doing} in ${seconds()} s`);
}
