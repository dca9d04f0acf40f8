import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { reportError } from '../../src/cli/output.ts'
import { ConfigError, UnavailableError } from '../../src/errors.ts'

test('a command that ends because something is unreachable says that it is to be run again', () => {
  const lines: string[] = []
  const write = mock.method(process.stderr, 'write', (line: string) => lines.push(line) > 0)
  try {
    assert.equal(reportError(new UnavailableError('disk-full', 'expected room'), false), 3)
    assert.equal(reportError(new ConfigError('model-not-active', 'expected a model'), false), 2)
  } finally {
    write.mock.restore()
  }
  assert.deepEqual(lines, [
    'error: disk-full: expected room\n',
    'once that is mended, run the same command again\n',
    'error: model-not-active: expected a model\n',
  ])
})
