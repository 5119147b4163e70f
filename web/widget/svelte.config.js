import { vitePreprocess } from '@sveltejs/vite-plugin-svelte'

export default {
  preprocess: vitePreprocess(),
  // Short names for scoped styles: they stand in the page hundreds of times.
  compilerOptions: { cssHash: ({ hash, filename, css }) => 's' + hash(filename ?? css).slice(0, 4) },
}
