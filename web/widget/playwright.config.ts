/**
 * The tests. `page`: plain ones (markdown, sizes, texts) and those that drive Chromium against the stand-in server.
 * `daemon`: Chromium against the real daemon.
 */
import { defineConfig } from '@playwright/test'

export default defineConfig({
  outputDir: 'test-results/runs',
  fullyParallel: true,
  workers: 2,
  projects: [
    { name: 'page', testDir: 'tests' },
    { name: 'daemon', testDir: 'e2e' },
  ],
  reporter: [['list']],
  // Generous, since machines that build other things at the same time are slow; nothing waits for it to pass.
  timeout: 300_000,
  expect: { timeout: 20_000 },
  use: {
    screenshot: 'only-on-failure',
    contextOptions: { reducedMotion: 'reduce' },
    launchOptions: {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
        '--window-size=1400,1000',
      ],
    },
  },
})
