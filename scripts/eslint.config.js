// The two rules that need types: no promise is left unwatched, and none stands where a plain value is expected.
import tseslint from 'typescript-eslint';

const top = new URL('..', import.meta.url).pathname;

/** The tiers of src/README.md: a file imports its own tier or one to the left of it. Types may be looked at from anywhere. */
const TIERS = [
  ['xml', 'stanza', 'config', 'storage', 'precis'],
  ['net', 'auth'],
  ['c2s', 'router', 'host'],
  ['module', 'server', 'cli'],
];

function tierRules() {
  return TIERS.flatMap((folders, tier) => {
    const above = TIERS.slice(tier + 1).flat();
    if (above.length === 0) return [];
    const patterns = [
      {
        group: above.map((folder) => `**/${folder}/**`),
        allowTypeImports: true,
        message: 'This is a tier above (src/README.md).',
      },
    ];
    return folders.map((folder) => ({
      basePath: top,
      files: [`src/${folder}/**/*.ts`],
      rules: { '@typescript-eslint/no-restricted-imports': ['error', { patterns }] },
    }));
  });
}

export default tseslint.config(
  {
    basePath: top,
    files: ['**/*.ts'],
    ignores: ['dist/**'],
    plugins: { '@typescript-eslint': tseslint.plugin },
    languageOptions: {
      parser: tseslint.parser,
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: top },
    },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/no-floating-promises': ['error', { checkThenables: true }],
      '@typescript-eslint/no-misused-promises': 'error',
      'max-lines': ['error', { max: 300, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': ['error', { max: 120, skipBlankLines: true, skipComments: true }],
      'max-depth': ['error', 4],
      'max-params': ['error', 5],
    },
  },
  ...tierRules(),
  {
    // A suite is a list, and reads as one.
    basePath: top,
    files: ['test/**/*.ts'],
    rules: {
      'max-lines': ['error', { max: 500, skipBlankLines: true, skipComments: true }],
      'max-lines-per-function': 'off',
    },
  },
);
