/** Builds the widget page (also the survey page) into `dist`: one template, one style sheet, one script, lazy chunks. */
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

export default defineConfig({
  base: '/widget/',
  plugins: [svelte()],
  // The daemon puts a fresh nonce in place of this word for each page it answers.
  html: { cspNonce: '__NONCE__' },
  build: {
    target: 'es2022',
    manifest: true,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
