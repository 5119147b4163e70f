/** Builds the loader into `dist/sdk.js`: one classic script without imports, for any page. Runs after the page's build. */
import { defineConfig } from 'vite'

export default defineConfig({
  build: {
    target: 'es2020',
    emptyOutDir: false,
    lib: { entry: 'sdk/sdk.ts', formats: ['iife'], name: '_', fileName: () => 'sdk.js' },
  },
})
