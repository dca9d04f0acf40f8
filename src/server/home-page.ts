/** The page at `/`: what this is, how it is doing, and where to go on. Plain HTML, no script. */

import { z } from 'zod'
import { type Api, ERRORS, OPEN } from './api.ts'
import type { FreshetService, StatusAnswer } from './service.ts'

interface Listed {
  method: string
  url: string
  summary: string
}

/** Call it before the routes that the page lists are added. */
export function homePage(app: Api, service: FreshetService): void {
  const listed: Listed[] = []
  app.addHook('onRoute', ({ method, url, schema }) => {
    const name = String(method)
    if (name !== 'HEAD' && url !== '/') listed.push({ method: name, url, summary: schema?.summary ?? '' })
  })
  app.route({
    method: 'GET',
    url: '/',
    config: OPEN,
    schema: {
      operationId: 'home',
      summary: 'The endpoints and the status, as a page',
      produces: ['text/html'],
      response: { 200: z.string().meta({ examples: ['<!doctype html>'] }), ...ERRORS },
    },
    handler: async (_request, reply) =>
      reply
        .type('text/html; charset=utf-8')
        .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'")
        .serializer(String)
        .send(page(await service.status(), listed)),
  })
}

function page(status: StatusAnswer, listed: readonly Listed[]): string {
  const { version, stage, restoring, users, events, freshnessMs, model, degraded, asOf } = status
  const facts: [string, string][] = [
    ['model', model === null ? 'none' : `${model.id} (${model.provider}, ${model.precision})`],
    ['stage', stage],
    ['as of', asOf],
    ...(restoring.length === 0 ? [] : [['restoring', restores(restoring)] satisfies [string, string]]),
    ['users', `${users.known}, ${users.waiting} waiting, ${users.parked} parked`],
    ['events', `${events.read} read, ${events.perSecond.toFixed(1)} a second, ${events.lag} to come`],
    [
      'freshness',
      freshnessMs.p50 === null
        ? 'nothing in the last minute'
        : `p50 ${seconds(freshnessMs.p50)}, p95 ${seconds(freshnessMs.p95)}`,
    ],
    ['degraded', degraded.length === 0 ? 'no' : degraded.join(', ')],
  ]
  const factRows = facts.map(
    ([name, value]) => `<tr><th>${escaped(name)}</th><td>${escaped(value)}</td></tr>`,
  )
  const routeRows = listed.map(({ method, url, summary }) => {
    const isPage = method === 'GET' && !url.includes(':')
    const shown = isPage ? `<a href="${escaped(url)}">${escaped(url)}</a>` : escaped(url)
    return `<tr><td>${escaped(method)}</td><td>${shown}</td><td>${escaped(summary)}</td></tr>`
  })
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>freshet</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
th,td{text-align:left;padding:.1rem 1rem .1rem 0;vertical-align:top}</style></head>
<body><h1>freshet ${escaped(version)}</h1>
<p>Keeps instruction-aware user embeddings fresh: events in, fresh vectors out.</p>
<table>${factRows.join('\n')}</table>
<h2>Endpoints</h2>
<table>${routeRows.join('\n')}</table>
</body></html>
`
}

function restores(all: StatusAnswer['restoring']): string {
  const parts = all.map(({ partition, records, left }) =>
    left === null ? `${partition} (waits)` : `${partition} (${records} records read, at most ${left} left)`,
  )
  return `partitions ${parts.join(', ')}`
}

function seconds(ms: number | null): string {
  return ms === null ? '-' : `${(ms / 1000).toFixed(1)} s`
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
