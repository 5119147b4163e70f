/** Builds the widget page (also the survey page) into `dist`: one template, one style sheet, one script, lazy chunks. */
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

/** What the first view needs is one file; the parts that are fetched on demand share it. */
const LATER =
  /svelte\/src\/internal\/client\/dom\/elements\/bindings|core\/(campaigns|files|markdown|rows|validation)|state\/(commands|names)|shared\/sound/
const FIRST =
  /node_modules\/(svelte|esm-env|clsx)\/|src\/(core|state)\/|shared\/|i18n\/en|src\/(main|App)|parts\/(Avatar|Availability|Branding|ConversationCard|Icon|Lazy)\.svelte|parts\/icons|views\/Home/
const isInMain = (id: string) => FIRST.test(id) && !LATER.test(id)

export default defineConfig({
  base: '/widget/',
  plugins: [svelte()],
  // The daemon puts a fresh nonce in place of this word for each page it answers.
  html: { cspNonce: '__NONCE__' },
  build: {
    target: 'es2022',
    manifest: true,
    cssCodeSplit: true,
    assetsInlineLimit: 0,
    // Chunks are few and small: a list of what to load before them would weigh more than it saves.
    modulePreload: false,
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: 'main', test: isInMain }] } } },
  },
})
