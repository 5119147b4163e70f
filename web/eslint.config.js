/** Lint rules of all front ends. `{@html}` is an error everywhere: text becomes nodes, never markup. */
import svelte from 'eslint-plugin-svelte'
import ts from 'typescript-eslint'

export default ts.config(
  { ignores: ['**/dist/', '**/test-results/', '**/node_modules/'] },
  ts.configs.recommended,
  svelte.configs.recommended,
  svelte.configs.prettier,
  { files: ['**/*.svelte', '**/*.svelte.ts'], languageOptions: { parserOptions: { parser: ts.parser } } },
  {
    rules: {
      'svelte/no-at-html-tags': 'error',
      // Big data is replaced, not changed in place.
      'svelte/prefer-svelte-reactivity': 'off',
      // Not a standalone router: links lead out of the widget.
      'svelte/no-navigation-without-resolve': 'off',
      'no-restricted-properties': [
        'error',
        { property: 'innerHTML', message: 'Make nodes instead.' },
        { property: 'outerHTML', message: 'Make nodes instead.' },
        { property: 'insertAdjacentHTML', message: 'Make nodes instead.' },
      ],
    },
  },
)
