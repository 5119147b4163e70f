/** What the visitor's browser has to load, in bytes of gzip, printed and held to a limit. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from '@playwright/test'

const DIST = join(import.meta.dirname, '../dist')
const KIB = 1024

const weigh = (file: string) => gzipSync(readFileSync(join(DIST, file)), { level: 9 }).length

test('the loader and the first load of the page are light', () => {
  const sdk = weigh('sdk.js')
  const page = readFileSync(join(DIST, 'index.html'), 'utf8')
  // A frame loads no icon: it is for the survey, and the widget in a window of its own.
  const named = [...page.matchAll(/\/widget\/(assets\/[^"]+\.(?:js|css))/g)].map(([, file]) => file!)
  const imported = named
    .filter((file) => file.endsWith('.js'))
    .flatMap((file) =>
      [...readFileSync(join(DIST, file), 'utf8').matchAll(/(?:from|import)\s*["'`]\.\/([^"'`]+)["'`]/g)].map(
        ([, name]) => `assets/${name}`,
      ),
    )
  const first = ['index.html', ...new Set([...named, ...imported])]
  expect(named.filter((file) => file.endsWith('.js'))).toHaveLength(1)
  expect(named.filter((file) => file.endsWith('.css'))).toHaveLength(1)
  const total = first.reduce((sum, file) => sum + weigh(file), 0)
  const later = readdirSync(join(DIST, 'assets')).filter((file) => !first.includes(`assets/${file}`))
  console.log(
    `sdk.js ${sdk} B of ${8 * KIB}; first load of the page ${total} B of ${35 * KIB}: ${first.map((file) => `${file} ${weigh(file)}`).join(', ')}`,
  )
  console.log(`on demand: ${later.map((file) => `${file} ${weigh(`assets/${file}`)}`).join(', ')}`)
  expect(sdk).toBeLessThan(8 * KIB)
  expect(total).toBeLessThan(35 * KIB)
})
